"""A saved student predicts as it did when it was trained; what is wrong with it is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from msp.config import StudentConfig
from msp.errors import CheckpointError
from msp.models.encoder import load_encoder
from msp.storage.store import ObjectStore, open_store
from msp.students.examples import training_set
from msp.students.finetune import finetuned_probabilities, train_finetuned
from msp.students.head import head_probabilities, train_head
from msp.students.saved import Description, load_student, save_student

LABELS = ("how", "spa", "breakfast", "never")
TEXTS = ["how do i get to the spa", "", "hello there"]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "run"))


def saved_head(store: ObjectStore, examples, path: Path, config: StudentConfig) -> np.ndarray:
    encoder = load_encoder(str(path), device="cpu")
    arm = training_set(examples, (), labels=LABELS, config=config, seed=1)
    head = train_head(config, arm, encoder.encode(arm.texts), seed=1)
    described = Description("head", str(path), encoder.dimension, LABELS, 0.4)
    save_student(store, "augmented", head, described)
    return head_probabilities(head, encoder.encode(TEXTS))


def test_a_head_comes_back_as_it_was_and_is_small(
    store, toy_examples, tiny_llama_path, toy_config, tmp_path
) -> None:
    expected = saved_head(store, toy_examples, tiny_llama_path, toy_config)
    student = load_student(store, "augmented", device="cpu")
    assert np.array_equal(student.probabilities(TEXTS), expected)
    assert student.predict(TEXTS) == [
        tuple(label for label, p in zip(LABELS, row, strict=True) if p >= 0.4) for row in expected
    ]
    assert student.predict([]) == []
    assert (tmp_path / "run/student/augmented/student.safetensors").stat().st_size < 10_000


def test_a_finetuned_student_brings_its_whole_body(store, toy_examples, tiny_t5_path) -> None:
    config = StudentConfig(kind="finetune", num_steps=3, batch_size=4)
    encoder = load_encoder(str(tiny_t5_path), device="cpu")
    arm = training_set(toy_examples, (), labels=LABELS, config=config, seed=1)
    module = train_finetuned(config, arm, encoder, seed=1)
    described = Description("finetune", str(tiny_t5_path), 32, LABELS, 0.3)
    save_student(store, "seed_only", module, described)
    expected = finetuned_probabilities(module, encoder, TEXTS)
    found = load_student(store, "seed_only", device="cpu").probabilities(TEXTS)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("arm", ["seed_only", "augmentedd"])
def test_a_student_that_is_not_there_is_named(store, arm) -> None:
    with pytest.raises(CheckpointError, match=f"student '{arm}' .* is not there; a run has seed_o"):
        load_student(store, arm)


def test_damage_is_named_whatever_part_it_hit(
    store, toy_examples, tiny_llama_path, toy_config
) -> None:
    saved_head(store, toy_examples, tiny_llama_path, toy_config)
    weights = store.read("student/augmented/student.safetensors")
    description = store.read("student/augmented/student.json")
    damaged = {
        "student.safetensors": (weights[:100], b"", b"{}" * 50),
        "student.json": (description[:40], b"[]", b'{"kind": "head"}'),
    }
    for name, versions in damaged.items():
        for version in versions:
            store.write("student/augmented/student.safetensors", weights)
            store.write("student/augmented/student.json", description)
            store.write(f"student/augmented/{name}", version)
            with pytest.raises(CheckpointError, match="is damaged"):
                load_student(store, "augmented", device="cpu")


def test_an_encoder_that_is_gone_or_has_another_size_is_named(
    store, toy_examples, tiny_llama_path, toy_config
) -> None:
    saved_head(store, toy_examples, tiny_llama_path, toy_config)
    key = "student/augmented/student.json"
    description = json.loads(store.read(key))
    store.write(key, json.dumps({**description, "encoder": "/no/such/folder"}).encode())
    with pytest.raises(CheckpointError, match=r"/no/such/folder.*not there"):
        load_student(store, "augmented")
    store.write(key, json.dumps({**description, "encoder": "minilm"}).encode())
    with pytest.raises(CheckpointError, match=r"vectors of size 32, .*'minilm' has 384"):
        load_student(store, "augmented")
