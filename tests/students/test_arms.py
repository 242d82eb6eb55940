"""Which training sets a run has, and what is in each."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from msp.config import RunConfig
from msp.records import Attribute, Example
from msp.students.arms import SetName, of_percent, of_size, training_sets
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology

ONTOLOGY = Ontology(attributes=(Attribute("greet", "says hello"), Attribute("spa", "spa")))
NUM_LABEL_TEXTS = 3  # greet has words and a description


def task() -> TaskData:
    seeds = tuple(Example(f"s{n}", f"hello {n}", ("greet",)) for n in range(4))
    test = (Example("t0", "hi", ("greet",)),)
    return TaskData(ONTOLOGY, "hotel", seeds, dev=(), test=test, content_hash="")


def config(**student: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": "x",
            "task": {"name": "jsonl", "path": "x.jsonl"},
            "student": student,
        }
    )


def made() -> Iterable[Example]:
    return [Example(f"m{n}", f"to the spa {n}", ("spa",)) for n in range(20)]


def test_labels_texts_and_synthetic_examples_are_learned_singly_and_together() -> None:
    sets = training_sets(config(), task(), made, None)
    assert {name.arm: len(found.texts) for name, found in sets.items()} == {
        "seed_only": 4,
        "label_texts": 4 + NUM_LABEL_TEXTS,
        "synthetic": 4 + 20,
        "augmented": 4 + NUM_LABEL_TEXTS + 20,
    }
    assert sets[SetName("augmented")].num_synthetic == 20


def test_without_labels_texts_there_are_the_papers_two_students() -> None:
    sets = training_sets(config(label_text_weight=0), task(), made, None)
    assert [name.arm for name in sets] == ["seed_only", "augmented"]


def test_where_nothing_is_generated_labels_texts_are_learned_alone() -> None:
    assert [name.arm for name in training_sets(config(), task(), None, None)] == [
        "seed_only",
        "label_texts",
    ]


def test_the_labels_before_relabelling_are_learned_as_the_others_are() -> None:
    sets = training_sets(config(), task(), made, made)
    before = sets[SetName("before_relabel")]
    assert before.content_hash == sets[SetName("augmented")].content_hash


def test_synthetic_examples_may_be_set_against_the_seed_examples() -> None:
    sets = training_sets(config(learns_from="synthetic"), task(), made, None)
    assert len(sets[SetName("seed_only")].texts) == 4
    assert len(sets[SetName("synthetic")].texts) == 20


@pytest.mark.parametrize("size", [5, 20, 300])
def test_a_size_has_a_student_where_it_is_a_part(size: int) -> None:
    sets = training_sets(config(sizes=[size]), task(), made, None)
    assert (of_size(size) in sets) == (size < 20)
    if size < 20:
        assert sets[of_size(size)].num_synthetic == size


def test_a_curve_has_nine_parts_of_every_arm() -> None:
    sets = training_sets(config(curve=True), task(), made, None)
    assert len(sets) == 4 * 10
    assert len(sets[of_percent("augmented", 50)].texts) == 14
