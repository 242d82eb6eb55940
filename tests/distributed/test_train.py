"""Students on a real local Ray: alike in both arms, done once, and done in spite of deaths."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle

from msp.config import RunConfig
from msp.distributed.train import train_students
from msp.errors import CheckpointError
from msp.records import Attribute, Example
from msp.storage.local import LocalStore
from msp.students.saved import load_student
from msp.tasks.base import TaskData, content_hash
from msp.tasks.ontology import Ontology

pytestmark = pytest.mark.ray
# Workers cannot import a test module; what it defines travels with the call.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

WORDS = ("spa", "room", "bill")
METRICS = {"micro_f1", "macro_f1", "exact_match", "micro_precision", "micro_recall"}


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def examples(prefix: str, number: int) -> tuple[Example, ...]:
    made = [(i, WORDS[i % 3], WORDS[(i // 3) % 3]) for i in range(number)]
    return tuple(
        Example(f"{prefix}-{i}", f"{prefix} {a} {b} {i}", tuple(w for w in WORDS if w in (a, b)))
        for i, a, b in made
    )


@pytest.fixture(scope="module")
def task() -> TaskData:
    ontology = Ontology(tuple(Attribute(word, word) for word in WORDS))
    splits = (examples("seed", 9), examples("dev", 5), examples("test", 12))
    return TaskData(ontology, "general", *splits, content_hash(ontology, *splits))


@pytest.fixture
def config(tmp_path: Path, tiny_llama_path: Path) -> RunConfig:
    student = {
        "encoder": str(tiny_llama_path),
        "num_seeds": 2,
        "num_steps": 30,
        "batch_size": 4,
        "hidden_size": 16,
    }
    return RunConfig(
        output_uri=str(tmp_path / "run"), task={"name": "jsonl", "path": "none"}, student=student
    )


def without_time(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scores.items() if key != "wall_seconds"}


def test_both_arms_are_scored_saved_and_not_trained_again(config, task) -> None:
    store = LocalStore(Path(config.output_uri))
    scores = train_students(config, task, store, lambda: examples("made", 6))
    assert scores["seeds"] == [13, 14]
    assert scores["seed_only"].keys() >= METRICS and scores["augmented"]["num_synthetic"] == 6
    assert len(scores["augmented"]["micro_f1"]["per_seed"]) == 2
    assert json.loads(store.read("state/progress/train.json"))["done_students"] == 8
    student = load_student(store, "augmented", device="cpu")
    assert len(student.predict(["spa", ""])) == 2 and student.description.labels == WORDS

    store.write("student/augmented/student.json", b"untouched")
    assert train_students(config, task, store, lambda: examples("made", 6)) == scores
    assert store.read("student/augmented/student.json") == b"untouched"


def test_with_nothing_synthetic_both_arms_score_the_same_and_a_fresh_run_does_too(
    config, task, tmp_path
) -> None:
    runs = [
        train_students(config, task, LocalStore(tmp_path / name), lambda: iter(()))
        for name in ("one", "two")
    ]
    assert runs[0]["seed_only"] == runs[0]["synthetic"]
    assert runs[0]["label_texts"] == runs[0]["augmented"]
    assert without_time(runs[0]) == without_time(runs[1])


def test_the_labels_before_relabelling_make_a_third_arm_with_the_same_initial_weights(
    config, task
) -> None:
    store = LocalStore(Path(config.output_uri))
    made = lambda: examples("made", 6)  # noqa: E731
    scores = train_students(config, task, store, made, before_relabel=made)
    assert scores["before_relabel"] == scores["augmented"] != scores["seed_only"]
    student = load_student(store, "before_relabel", device="cpu")
    assert student.description.labels == WORDS
    asked = lambda: [replace(e, attributes=WORDS[:1]) for e in made()]  # noqa: E731
    again = train_students(config, task, store, made, before_relabel=asked)
    assert again["augmented"] == scores["augmented"] != again["before_relabel"]
    assert again["before_relabel"]["num_synthetic"] == 6


def test_of_sizes_each_is_a_student_of_so_many_and_those_too_large_are_none(config, task) -> None:
    store = LocalStore(Path(config.output_uri))
    whole = train_students(config, task, store, lambda: examples("made", 6))
    sized = config.model_copy(
        update={"student": config.student.model_copy(update={"sizes": [4, 2, 6]})}
    )
    scores = train_students(sized, task, store, lambda: examples("made", 6))
    assert [row["num_synthetic"] for row in scores["sizes"]] == [2, 4]
    assert all(len(row["micro_f1"]["per_seed"]) == 2 for row in scores["sizes"])
    assert scores["augmented"] == whole["augmented"] and "sizes" not in whole
    assert len(list(store.list("student/augmented/size-"))) == 4
    assert train_students(sized, task, store, lambda: examples("made", 6)) == scores


def test_only_the_arm_whose_examples_changed_is_trained_again(config, task) -> None:
    store = LocalStore(Path(config.output_uri))
    train_students(config, task, store, lambda: examples("made", 6))
    kept = json.loads(store.read("student/seed_only/seed-13.json"))
    store.write("student/seed_only/seed-13.json", json.dumps({**kept, "threshold": 0.77}).encode())
    again = train_students(config, task, store, lambda: examples("made", 7))
    assert again["seed_only"]["thresholds"][0] == 0.77
    assert again["augmented"]["num_synthetic"] == 7


class DyingStore(LocalStore):
    """A store that kills the process that first commits a training to it."""

    def write(self, key: str, data: bytes) -> None:
        mark = Path(self.uri.removeprefix("file://")) / "has-died"
        if "/seed-" in key and not mark.exists():
            mark.touch()
            os._exit(1)
        super().write(key, data)


@pytest.mark.parametrize("kind", ["head", pytest.param("finetune", marks=pytest.mark.slow)])
def test_a_killed_worker_is_replaced_and_changes_nothing(config, task, tmp_path, kind) -> None:
    student = config.student.model_copy(update={"kind": kind, "num_seeds": 1, "num_steps": 5})
    config = config.model_copy(update={"student": student})
    places = (DyingStore(tmp_path / "killed"), LocalStore(tmp_path / "whole"))
    killed, whole = (
        train_students(config, task, store, lambda: examples("made", 6)) for store in places
    )
    assert (tmp_path / "killed/has-died").exists()
    assert without_time(killed) == without_time(whole)


def test_two_workers_finetune_together(config, task) -> None:
    update = {"kind": "finetune", "num_workers": 2, "num_seeds": 1, "num_steps": 4}
    config = config.model_copy(update={"student": config.student.model_copy(update=update)})
    store = LocalStore(Path(config.output_uri))
    scores = train_students(config, task, store, lambda: examples("made", 6))
    assert scores["augmented"].keys() >= METRICS and scores["seeds"] == [13]
    student = load_student(store, "seed_only", device="cpu")
    assert student.description.kind == "finetune" and len(student.predict(["spa"])) == 1


def test_an_encoder_that_is_not_there_is_this_projects_error(config, task) -> None:
    student = config.student.model_copy(update={"encoder": "/no/such/folder"})
    config = config.model_copy(update={"student": student})
    with pytest.raises(CheckpointError, match=r"/no/such/folder.* is not there"):
        train_students(config, task, LocalStore(Path(config.output_uri)), lambda: ())
