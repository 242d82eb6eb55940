"""clm: the LM learns from the seed examples, goes on where it was, and writes what it knows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from msp.distributed.fit_worker import Fitter, fit_and_save
from msp.distributed.tune_state import load_state
from msp.errors import CheckpointError, DamagedError, StorageError
from msp.methods import Opening, find_method, make_plan
from msp.methods.clm import open_clm_fit
from msp.methods.fit_store import read_fit_figures
from msp.storage import layout
from msp.storage.damage import set_aside_damaged
from msp.storage.local import LocalStore


@pytest.fixture(params=["tiny_llama_path", "tiny_t5_path"])
def lm_path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def losses(figures: dict) -> list[float]:
    return [record["dev_loss"] for record in figures["curve"]]


@pytest.mark.parametrize("weights", ["lora", "all"])
def test_a_fit_lowers_the_loss_and_changes_no_file_of_the_lm(
    lm_path, weights, small_task, make_run
) -> None:
    config = make_run(lm_path, method="clm", clm_weights=weights, tune={"fit_learning_rate": 0.01})
    before = hashlib.sha256((lm_path / "model.safetensors").read_bytes()).hexdigest()
    store = LocalStore(Path(config.output_uri))
    fit_and_save(config, small_task, store)
    found = losses(read_fit_figures(store))
    assert len(found) == 4 and found[-1] < found[0] - 0.5
    assert hashlib.sha256((lm_path / "model.safetensors").read_bytes()).hexdigest() == before
    assert [info.key for info in store.list(layout.TUNE_STATE_PREFIX)] == []
    size = next(info.size for info in store.list("fit/model"))
    assert (size > 0.9 * (lm_path / "model.safetensors").stat().st_size) == (weights == "all")


class FullStore(LocalStore):
    """A store that is full when the second epoch is to be committed."""

    def write(self, key: str, data: bytes) -> None:
        if key.endswith("epoch-0002.safetensors"):
            raise StorageError("full.")
        super().write(key, data)


def test_an_unfinished_fit_goes_on_and_gives_the_same_curve(
    tiny_llama_path, small_task, make_run, tmp_path
) -> None:
    config = make_run(tiny_llama_path, method="clm")
    opening = Opening(config, small_task, LocalStore(tmp_path / "none"))

    def fitted(store: LocalStore) -> list[float]:
        fitter = Fitter(open_clm_fit(opening), config.tune, store, seed=config.seed)
        return losses(fitter.run())

    with pytest.raises(StorageError):
        fitted(FullStore(tmp_path / "broken"))
    assert load_state(LocalStore(tmp_path / "broken")).epoch == 1
    whole = fitted(LocalStore(tmp_path / "whole"))
    assert fitted(LocalStore(tmp_path / "broken")) == pytest.approx(whole, abs=1e-6)


def test_what_was_learned_is_what_writes(lm_path, small_task, make_run) -> None:
    tune = {"fit_learning_rate": 0.02, "num_epochs": 8}
    config = make_run(lm_path, method="clm", temperature=0.001, tune=tune)
    store = LocalStore(Path(config.output_uri))
    opening = Opening(config, small_task, store)
    units = [make_plan(config, small_task).unit(i) for i in range(3)]
    method = find_method(config)
    with pytest.raises(CheckpointError, match="run msp tune first"):
        method.open_writer(opening)
    untuned = method.open_writer(Opening(config, small_task, store, untuned=True)).write(units)
    fit_and_save(config, small_task, store)
    written = method.open_writer(opening).write(units)
    assert [len(texts) for texts in written] == [5, 5, 5]
    assert all(
        found[0].text != before[0].text for found, before in zip(written, untuned, strict=True)
    )
    assert written == method.open_writer(opening).write(units)


def test_weights_of_another_lm_or_of_other_settings_are_refused(
    tiny_llama_path, tiny_t5_path, small_task, make_run
) -> None:
    config = make_run(tiny_llama_path, method="clm", tune={"num_epochs": 0})
    store = LocalStore(Path(config.output_uri))
    fit_and_save(config, small_task, store)
    for other, message in (
        (make_run(tiny_t5_path, method="clm"), "has other weights"),
        (make_run(tiny_llama_path, method="clm", lora_rank=3), "lora_rank"),
    ):
        with pytest.raises(CheckpointError, match=message):
            find_method(other).open_writer(Opening(other, small_task, store))


def test_damaged_weights_are_named_and_set_aside_with_what_speaks_of_them(
    tiny_llama_path, small_task, make_run
) -> None:
    config = make_run(tiny_llama_path, method="clm", tune={"num_epochs": 0})
    store = LocalStore(Path(config.output_uri))
    fit_and_save(config, small_task, store)
    assert set_aside_damaged(store) == []
    store.write(layout.FIT_TENSORS, store.read(layout.FIT_TENSORS)[:-9])
    with pytest.raises(DamagedError, match=r"model\.safetensors: is damaged"):
        find_method(config).open_writer(Opening(config, small_task, store))
    assert set_aside_damaged(store) == [layout.FIT_JSON, layout.FIT_TENSORS]
