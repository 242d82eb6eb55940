"""Prompts come back as they were saved, and only for the very LM they were tuned for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig, RunConfig
from msp.errors import CheckpointError
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.prompts.checkpoint import describe_prompts, load_prompts, save_prompts
from msp.prompts.initialisers import initial_prompts
from msp.prompts.soft import SoftPrompts
from msp.storage.layout import PROMPTS_JSON, PROMPTS_TENSORS
from msp.storage.store import ObjectStore, open_store
from msp.tasks.ontology import Ontology


@pytest.fixture
def saved(tmp_path: Path, llama: FrozenLM, ontology: Ontology) -> tuple[ObjectStore, SoftPrompts]:
    config = RunConfig.model_validate(
        {"output_uri": str(tmp_path), "task": {"name": "jsonl", "path": "unused"}}
    )
    soft = initial_prompts(llama, ontology, config.prompts, seed=4)
    store = open_store(str(tmp_path))
    save_prompts(store, soft, describe_prompts(config, llama.files, ontology, {"dev_loss": 1.5}))
    return store, soft


def edit(store: ObjectStore, section: str, **changes: object) -> None:
    meta = json.loads(store.read(PROMPTS_JSON))
    meta[section].update(changes)
    store.write(PROMPTS_JSON, json.dumps(meta).encode())


def test_prompts_come_back_bit_by_bit(
    saved: tuple[ObjectStore, SoftPrompts], llama: FrozenLM, ontology: Ontology
) -> None:
    store, soft = saved
    loaded = load_prompts(store, llama, attributes=[a.name for a in ontology.all])
    assert loaded.mixture_name == soft.mixture_name
    for name, tensor in soft.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_prompts_json_says_what_the_prompts_belong_to(
    saved: tuple[ObjectStore, SoftPrompts], llama: FrozenLM
) -> None:
    meta = json.loads(saved[0].read(PROMPTS_JSON))
    assert meta["base_model"] == {"name": llama.name, "content_hash": llama.content_hash}
    assert meta["attributes"] == ["check_out", "how", "refund", "time", "name"]
    assert meta["sizes"]["hidden_size"] == 32 and meta["tuning"] == {"dev_loss": 1.5}


def test_prompts_of_another_hidden_size_are_refused(
    saved: tuple[ObjectStore, SoftPrompts], llama: FrozenLM
) -> None:
    store, _ = saved
    edit(store, "sizes", hidden_size=1024)
    with pytest.raises(CheckpointError) as caught:
        load_prompts(store, llama)
    assert str(caught.value) == (
        f"prompts at {store.uri}/prompts are for hidden size 1024, but the model has 32; "
        "they were tuned for another model."
    )


def test_prompts_of_a_model_with_other_weights_are_refused(
    saved: tuple[ObjectStore, SoftPrompts], tiny_t5_path: Path
) -> None:
    other = load_frozen_lm(ModelConfig(name=str(tiny_t5_path)), device="cpu")
    with pytest.raises(CheckpointError, match=r"other weights .*tuned for another model"):
        load_prompts(saved[0], other)


def test_prompts_of_another_ontology_are_refused(
    saved: tuple[ObjectStore, SoftPrompts], llama: FrozenLM
) -> None:
    names = ["check_out", "how", "parking", "time", "name"]
    with pytest.raises(CheckpointError, match=r"only theirs: 'refund'; only the task's: 'parking'"):
        load_prompts(saved[0], llama, attributes=names)


def test_missing_and_damaged_prompts_are_named(
    saved: tuple[ObjectStore, SoftPrompts], llama: FrozenLM
) -> None:
    store, _ = saved
    store.write(PROMPTS_TENSORS, store.read(PROMPTS_TENSORS)[:100])
    with pytest.raises(CheckpointError, match=r"prompts\.safetensors is damaged"):
        load_prompts(store, llama)
    store.write(PROMPTS_JSON, b"{")
    with pytest.raises(CheckpointError, match=r"prompts\.json is damaged"):
        load_prompts(store, llama)
    store.delete(PROMPTS_JSON)
    with pytest.raises(CheckpointError, match="run msp tune first"):
        load_prompts(store, llama)
