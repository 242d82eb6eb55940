"""A tiny pre-training learns, and a killed one ends exactly where an unbroken one does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from msp.config_file import load_config_as
from msp.errors import CheckpointError, ConfigError, TaskDataError
from msp.models.pretrain.material import Material, prepare
from msp.models.pretrain.settings import PretrainConfig
from msp.models.pretrain.trainer import Place, Trainer
from msp.storage.store import open_store

# Trains to the end, unless it is killed; a checkpoint after every step.
ENDLESS = """
import json, sys
from msp.models.pretrain.material import prepare
from msp.models.pretrain.settings import PretrainConfig
from msp.models.pretrain.trainer import Place, Trainer
from msp.storage.store import open_store
config = PretrainConfig.model_validate(json.loads(sys.argv[1]))
store = open_store(config.output_uri)
Trainer(config, prepare(config), store=store, place=Place()).run(lambda _: None)
"""
PLACES = ("harbour", "station", "museum", "market", "airport", "garden", "library", "castle")


def write_inputs(folder: Path) -> list[str]:
    rng = random.Random(0)
    rows, texts = [], []
    for number in range(400):
        place, hour = rng.choice(PLACES), f"{rng.randint(1, 12)} pm"
        text = f"I need a taxi to the {place} at {hour}, order {number} please"
        rows.append({"attributes": ["book taxi", "time"], "values": [hour, place], "text": text})
        texts.append(f"chat\tIs the {place} open at {hour}?\tYes, come to the {place} by {number}.")
    (folder / "rides.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (folder / "talk.txt").write_text("\n".join(texts))
    return [str(folder / "rides.jsonl"), str(folder / "talk.txt")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("pretrain")
    sizes = {"vocab_size": 384, "hidden_size": 32, "intermediate_size": 64, "num_layers": 2}
    return {
        "data": {"inputs": write_inputs(folder), "num_tokenizer_documents": 300},
        "model": {**sizes, "head_size": 16, "context_length": 64},
        "train": {
            "num_tokens": 200 * 512,
            "tokens_per_step": 512,
            "sequence_length": 32,
        },
        "runtime": {
            "compile": False,
            "checkpoint_seconds": 1e9,
            "micro_batch_tokens": 256,
            "scratch_path": str(folder / "scratch"),
        },
    }


@pytest.fixture(scope="module")
def material(base: dict[str, object]) -> Material:
    return prepare(PretrainConfig.model_validate({**base, "output_uri": "unused"}))


def trainer_at(folder: Path, base: dict[str, object], material: Material) -> Trainer:
    config = PretrainConfig.model_validate({**base, "output_uri": str(folder)})
    return Trainer(config, material, store=open_store(str(folder)), place=Place())


def test_two_hundred_steps_lower_the_loss_by_more_than_two_nats(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    trainer = trainer_at(tmp_path, base, material)
    first = trainer.train_step()
    before = trainer.held_out_loss("form_labelled_rides")
    log: list[str] = []
    trainer.run(log.append)
    after = trainer.held_out_loss("form_labelled_rides")
    assert first > 5.5
    assert after < before - 2.0
    assert trainer.progress.step == 200
    assert any("held-out loss" in line for line in log)


def test_a_killed_and_resumed_run_ends_with_the_same_weights_as_an_unbroken_one(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    unbroken = trainer_at(tmp_path / "unbroken", base, material)
    unbroken.run(lambda _: None, until=60)
    runtime = {**base["runtime"], "checkpoint_seconds": 1e-6}  # type: ignore[dict-item]
    tree = {**base, "runtime": runtime, "output_uri": str(tmp_path / "killed")}
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, json.dumps(tree)])
    fifth = tmp_path / "killed/checkpoints/step-00000005/state.json"
    while not fifth.exists() and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    resumed = trainer_at(tmp_path / "killed", base, material)
    assert 4 <= resumed.progress.step < 60
    resumed.run(lambda _: None, until=60)
    for name, weight in unbroken.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_the_size_of_a_micro_batch_does_not_change_what_is_learned(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    weights = []
    for tokens in (96, 512):
        runtime = {**base["runtime"], "micro_batch_tokens": tokens}  # type: ignore[dict-item]
        trainer = trainer_at(tmp_path / str(tokens), {**base, "runtime": runtime}, material)
        loss = trainer.train_step()
        weights.append((loss, trainer.model.get_input_embeddings().weight.detach()))
    assert weights[0][0] == pytest.approx(weights[1][0], abs=1e-3)
    assert torch.allclose(weights[0][1], weights[1][1], atol=2e-2)


def test_rows_change_length_for_the_last_steps(base: dict[str, object]) -> None:
    config = PretrainConfig.model_validate({**base, "output_uri": "unused"})
    assert [config.length_at(step) for step in (0, 179, 180, 199)] == [32, 32, 64, 64]


def test_a_half_written_checkpoint_is_passed_over(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    trainer = trainer_at(tmp_path, base, material)
    trainer.run(lambda _: None, until=2)
    torn = tmp_path / "checkpoints" / "step-00000009"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    assert trainer_at(tmp_path, base, material).progress.step == 2


def test_only_two_checkpoints_stay(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    trainer = trainer_at(tmp_path, base, material)
    for until in (1, 2, 3):
        trainer.run(lambda _: None, until=until)
    found = sorted(path.parent.name for path in tmp_path.glob("checkpoints/*/state.json"))
    assert found == ["step-00000002", "step-00000003"]


def test_another_config_does_not_continue_a_run(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    trainer_at(tmp_path, base, material).run(lambda _: None, until=1)
    with pytest.raises(CheckpointError, match="another seed; set them back"):
        trainer_at(tmp_path, {**base, "seed": 1}, material)


def test_a_damaged_checkpoint_is_named(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    trainer_at(tmp_path, base, material).run(lambda _: None, until=1)
    (tmp_path / "checkpoints/step-00000001/model.safetensors").write_bytes(b"\0" * 9)
    with pytest.raises(CheckpointError, match="step-00000001 is damaged"):
        trainer_at(tmp_path, base, material)


def test_the_export_loads_and_is_the_trained_model_in_bf16(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trainer = trainer_at(tmp_path, base, material)
    trainer.run(lambda _: None, until=3)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.dtype == torch.bfloat16
    assert "lm_head.weight" not in load_file(tmp_path / "model/model.safetensors")
    weight = trainer.model.get_input_embeddings().weight
    assert torch.equal(model.get_input_embeddings().weight, weight.detach().bfloat16())
    assert torch.equal(model.lm_head.weight, model.get_input_embeddings().weight)
    text = "1) book taxi [7:30 pm; Zoë]: 12  taxis,\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_material_is_made_once_and_is_the_same_when_made_again(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    runtime = {**base["runtime"], "scratch_path": str(tmp_path)}  # type: ignore[dict-item]
    config = PretrainConfig.model_validate({**base, "runtime": runtime, "output_uri": "unused"})
    again = prepare(config)
    assert torch.equal(again.training.batch(0, 50, 64), material.training.batch(0, 50, 64))
    made = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.bin"))
    prepare(config)
    assert made == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.bin"))


def test_text_without_utterances_and_utterances_without_text_are_enough(
    tmp_path: Path, base: dict[str, object]
) -> None:
    rides, talk = base["data"]["inputs"]  # type: ignore[index]
    for inputs in ([rides], [talk]):
        config = PretrainConfig.model_validate(
            {**base, "data": {**base["data"], "inputs": inputs}, "output_uri": "unused"}  # type: ignore[dict-item]
        )
        assert len(prepare(config).training) > 512


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "sequence_length", 48, "must be a multiple of train.sequence_length"),
        ("train", "tokens_per_step", 300, "must be a multiple of model.context_length x"),
        ("model", "hidden_size", 40, "must be a multiple of model.head_size"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    base: dict[str, object], section: str, key: str, value: int, message: str
) -> None:
    tree = {**base, "output_uri": "x", section: {**base[section], key: value}}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=message):
        PretrainConfig.model_validate(tree)


def test_the_shipped_config_loads_and_names_its_unknown_keys() -> None:
    path = Path(__file__).parents[2] / "ray_jobs" / "configs" / "pretrain.yaml"
    assert load_config_as(PretrainConfig, path).model.context_length == 512
    with pytest.raises(ConfigError, match=r"train\.num_token is not a known key; did you mean"):
        load_config_as(PretrainConfig, path, ["train.num_token=5"])


def test_weights_for_some_sources_only_are_refused(base: dict[str, object]) -> None:
    data = {**base["data"], "source_weights": {"riides": 1.0}}  # type: ignore[dict-item]
    config = PretrainConfig.model_validate({**base, "data": data, "output_uri": "x"})
    with pytest.raises(ConfigError, match=r"names riides; it must give every source .*\(rides\)"):
        prepare(config)


def test_inputs_without_text_are_refused(tmp_path: Path, base: dict[str, object]) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    data = {"inputs": [str(tmp_path / "empty.txt")]}
    config = PretrainConfig.model_validate({**base, "data": data, "output_uri": "x"})
    with pytest.raises(TaskDataError, match="hold no text"):
        prepare(config)


def test_training_goes_on_from_a_checkpoint_with_its_tokenizer(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    first = trainer_at(tmp_path / "first", base, material)
    first.run(lambda _: None, until=120)
    first.save()
    start = {**base["model"], "start_from": str(tmp_path / "first" / "model")}  # type: ignore[dict-item]
    further = {**base, "model": start}
    config = PretrainConfig.model_validate({**further, "output_uri": str(tmp_path / "more")})
    again = prepare(config)
    assert again.tokenizer.get_vocab() == material.tokenizer.get_vocab()
    trainer = Trainer(config, again, store=open_store(config.output_uri), place=Place())
    source = "form_labelled_rides"
    assert abs(trainer.held_out_loss(source) - first.held_out_loss(source)) < 0.1
    trainer.run(lambda _: None, until=20)
    fresh = trainer_at(tmp_path / "fresh", base, material)
    assert trainer.held_out_loss(source) < fresh.held_out_loss(source) - 1.0


def test_a_checkpoint_of_other_sizes_to_start_from_is_refused(
    tmp_path: Path, base: dict[str, object], material: Material
) -> None:
    sizes = {**base["model"], "start_from": "builtin"}  # type: ignore[dict-item]
    with pytest.raises(CheckpointError, match="vocab_size 4096, but the config's sizes give 384"):
        trainer_at(tmp_path, {**base, "model": sizes}, material)
