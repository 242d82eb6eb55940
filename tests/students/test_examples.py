"""What a student learns from: bounded, drawn by weight, and alike in both arms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import StudentConfig
from msp.errors import TaskDataError
from msp.records import Example
from msp.students.examples import draw_batches, labelled_texts, training_set

LABELS = ("how", "spa", "breakfast", "never")


def synthetic(number: int) -> list[Example]:
    return [Example(f"synthetic-{i}", f"text {i}", ("spa",)) for i in range(number)]


def test_labels_become_columns_in_the_ontologys_order() -> None:
    found = labelled_texts([Example("a", "x", ("breakfast", "how")), Example("b", "y")], LABELS)
    assert found.gold.tolist() == [[True, False, True, False], [False] * 4]


def test_a_label_that_the_ontology_does_not_know_is_named() -> None:
    with pytest.raises(TaskDataError, match=r"example s1: 'spaa' .* did you mean 'spa'"):
        labelled_texts([Example("s1", "x", ("spaa",))], LABELS)


def test_without_synthetic_examples_both_arms_draw_identical_batches(
    toy_examples, toy_config
) -> None:
    arms = [
        training_set(toy_examples, found, labels=LABELS, config=toy_config, seed=1)
        for found in ((), iter(()))
    ]
    assert arms[0].content_hash == arms[1].content_hash
    first, second = (draw_batches(arm, toy_config, 5) for arm in arms)
    assert first.shape == (120, 8) and np.array_equal(first, second)


def test_synthetic_examples_are_drawn_as_often_as_their_weight_says(toy_examples) -> None:
    config = StudentConfig(num_steps=4000, batch_size=8, synthetic_weight=0.5)
    arm = training_set(toy_examples, synthetic(8), labels=LABELS, config=config, seed=1)
    share = (draw_batches(arm, config, 3) >= len(toy_examples)).mean()
    assert share == pytest.approx(1 / 3, abs=0.02)


def test_more_synthetic_examples_than_can_be_drawn_are_sampled_and_keep_their_weight(
    toy_examples,
) -> None:
    config = StudentConfig(num_steps=5, batch_size=4, synthetic_weight=0.5)

    def many() -> Iterator[Example]:
        yield from synthetic(1000)

    arm = training_set(toy_examples, many(), labels=LABELS, config=config, seed=1)
    again = training_set(toy_examples, many(), labels=LABELS, config=config, seed=1)
    assert len(arm.texts) == 8 + 20 and arm.num_synthetic == 1000
    assert arm.weights[8:].sum() == pytest.approx(0.5 * 8)
    assert arm.content_hash == again.content_hash
    assert max(int(text.split()[1]) for text in arm.texts[8:]) > 500


def test_nothing_to_learn_from_is_an_error_and_not_a_crash(toy_config) -> None:
    empty = training_set((), (), labels=LABELS, config=toy_config, seed=1)
    with pytest.raises(TaskDataError, match="no example to learn from"):
        draw_batches(empty, toy_config, 1)


@given(st.integers(0, 60), st.integers(1, 6), st.integers(1, 6))
def test_what_is_held_is_bounded_and_made_of_what_came(number: int, steps: int, size: int) -> None:
    config = StudentConfig(num_steps=steps, batch_size=size)
    arm = training_set((), synthetic(number), labels=LABELS, config=config, seed=2)
    assert len(arm.texts) == min(number, steps * size) == len(set(arm.texts))
    assert arm.weights.sum() == pytest.approx(config.synthetic_weight if number else 0.0)


@given(st.permutations(range(4)))
def test_the_hash_tells_other_training_data_apart(order) -> None:
    config = StudentConfig()
    examples = synthetic(4)
    sets = [
        training_set((), found, labels=LABELS, config=config, seed=2)
        for found in (examples, [examples[i] for i in order])
    ]
    assert (sets[0].content_hash == sets[1].content_hash) == (order == [0, 1, 2, 3])
