"""The best epoch and the stop rule follow from the history alone; states survive the store."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.config import TuneConfig
from msp.distributed.tune_state import (
    BEST_PREFIX,
    EPOCH_PREFIX,
    EpochRecord,
    TuneState,
    best_key,
    load_state,
    save_state,
)
from msp.storage.store import open_store

CONFIG = TuneConfig(num_epochs=10, patience=2, select_by="dev_loss")


def record(epoch: int, dev_loss: float | None, dev_bleu: float | None = None) -> EpochRecord:
    return EpochRecord(epoch, 1.0, dev_loss, dev_bleu, 0.01, 1.0)


def walked(losses: list[float | None], config: TuneConfig = CONFIG) -> TuneState:
    state = TuneState(history=(record(0, losses[0]),))
    for epoch, loss in enumerate(losses, start=1):
        state = state.after(record(epoch, loss), step=epoch, config=config)
        if state.stop:
            break
    return state


def test_tuning_stops_when_patience_is_spent() -> None:
    state = walked([3.0, 2.0, 2.5, 2.1, 1.0])
    assert (state.epoch, state.best_epoch, state.stop) == (4, 2, "patience")


def test_tuning_stops_after_the_planned_epochs() -> None:
    state = walked([3.0 - 0.1 * i for i in range(12)])
    assert (state.epoch, state.best_epoch, state.stop) == (10, 10, "num_epochs")


def test_a_loss_that_is_no_number_stops_and_is_never_the_best() -> None:
    state = walked([3.0, float("nan"), 1.0])
    assert (state.epoch, state.best_epoch, state.stop) == (2, 1, "diverged")
    assert walked([float("nan")]).best_epoch == 0


def test_without_dev_examples_the_latest_epoch_is_the_best() -> None:
    state = walked([None] * 12)
    assert (state.best_epoch, state.stop) == (10, "num_epochs")


def test_equal_bleu_is_decided_by_the_loss() -> None:
    config = TuneConfig(num_epochs=9)
    state = TuneState(history=(record(0, 9.0, 0.0),))
    for epoch, (loss, bleu) in enumerate([(3.0, 0.0), (2.0, 0.0), (2.5, 0.0)], start=1):
        state = state.after(record(epoch, loss, bleu), step=epoch, config=config)
    assert state.best_epoch == 2


@given(st.lists(st.floats(0.1, 9.0), min_size=1, max_size=10))
def test_the_best_epoch_has_the_lowest_loss_of_those_tuned(losses: list[float]) -> None:
    state = walked(list(losses), TuneConfig(num_epochs=10, patience=99, select_by="dev_loss"))
    tuned = {r.epoch: r.dev_loss for r in state.history[1:]}
    assert tuned[state.best_epoch] == min(tuned.values())


def test_a_state_comes_back_and_only_what_resume_needs_stays(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    state = TuneState(history=(record(0, 5.0),))
    for epoch, loss in enumerate([3.0, 2.0, 2.5], start=1):
        state = state.after(record(epoch, loss), step=7 * epoch, config=CONFIG)
        tensors = {"instruction": torch.full((2, 3), float(epoch))}
        state = TuneState(state.step, state.history, state.best_epoch, state.stop, tensors)
        save_state(store, state, parameters=tensors)
    loaded = load_state(store)
    assert (loaded.step, loaded.history, loaded.best_epoch) == (21, state.history, 2)
    assert torch.equal(loaded.tensors["instruction"], tensors["instruction"])
    assert [info.key for info in store.list(BEST_PREFIX)] == [best_key(2)]
    assert [info.key for info in store.list(EPOCH_PREFIX)] == [f"{EPOCH_PREFIX}0003.safetensors"]


@pytest.mark.parametrize("select_by", ["dev_loss", "dev_bleu"])
def test_the_first_epoch_is_kept_even_if_the_untuned_prompts_were_better(select_by: str) -> None:
    config = TuneConfig(num_epochs=1, select_by=select_by)  # type: ignore[arg-type]
    state = TuneState(history=(record(0, 1.0, 50.0),))
    assert state.after(record(1, 2.0, 3.0), step=1, config=config).best_epoch == 1
