"""Folds that leak nothing, and what is counted of a student's answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from loops import loop_config

from msp.errors import ConfigError
from msp.improve.config import MeasureConfig
from msp.improve.crossfit import Fold, Kept, make_folds, pooled
from msp.improve.outcomes import learnable, outcomes
from msp.records import Example
from msp.students.examples import labelled_texts
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.brackets import read_brackets


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(loop_config().run_config().task, seed=13)


def test_every_seed_and_dev_example_is_held_out_once_and_no_test_example_ever(
    task: TaskData,
) -> None:
    folds = make_folds(task, MeasureConfig(on="crossfit"), seed=1)
    held = [example.uid for fold in folds for example in fold.held]
    assert sorted(held) == sorted(e.uid for e in (*task.seeds, *task.dev))
    for fold in folds:
        assert not {e.uid for e in fold.held} & {e.uid for e in fold.training}
        assert {e.uid for e in fold.training} == {e.uid for e in task.seeds} - {
            e.uid for e in fold.held
        }
    used = {e.uid for fold in folds for e in (*fold.held, *fold.training)}
    assert used.isdisjoint(e.uid for e in task.test)
    assert pooled(task, folds).test == ()


def test_an_attribute_with_as_many_carriers_as_folds_is_in_most_of_them(task: TaskData) -> None:
    folds = make_folds(task, MeasureConfig(on="crossfit", folds=4), seed=1)
    sizes = [len(fold.held) for fold in folds]
    assert max(sizes) - min(sizes) <= 6
    counts = [sum("wifi" in e.attributes for e in fold.held) for fold in folds]
    assert max(counts) - min(counts) <= 1


def test_what_was_written_with_a_held_out_example_in_view_is_not_learned_from(
    task: TaskData,
) -> None:
    fold = make_folds(task, MeasureConfig(on="crossfit"), seed=1)[0]
    inside, outside = fold.held[0].uid, fold.training[0].uid
    kept = [
        Kept(Example("s0", "a"), frozenset({outside})),
        Kept(Example("s1", "b"), frozenset({outside, inside})),
        Kept(Example("s2", "c"), frozenset()),
    ]
    assert [example.uid for example in fold.allowed(kept)] == ["s0", "s2"]


def test_enough_dev_examples_are_measured_on_as_they_are(task: TaskData) -> None:
    many = tuple(replace(task.dev[0], uid=f"d{i}") for i in range(250))
    (fold,) = make_folds(replace(task, dev=many), MeasureConfig(), seed=1)
    assert fold.held == many and fold.training == task.seeds


def test_reviewed_examples_are_learned_from_and_never_scored(task: TaskData) -> None:
    gold = Example("reviewed:1:2", "an accepted text", ("wifi",))
    folds = make_folds(replace(task, seeds=(*task.seeds, gold)), MeasureConfig(), seed=1)
    assert all(gold in fold.training for fold in folds)


def test_too_few_examples_to_measure_by_are_refused(task: TaskData) -> None:
    few = replace(task, seeds=task.seeds[:3], dev=())
    with pytest.raises(ConfigError, match="there are 3 seed and dev examples"):
        make_folds(few, MeasureConfig(), seed=1)
    with pytest.raises(ConfigError, match="has no dev example"):
        make_folds(few, MeasureConfig(on="dev"), seed=1)


def test_a_threshold_is_chosen_on_the_other_folds(task: TaskData) -> None:
    labels = ["a", "b"]
    examples = [Example(str(i), str(i), ("a",)) for i in range(4)]
    held = [labelled_texts(examples[:2], labels), labelled_texts(examples[2:], labels)]
    sure = np.array([[0.9, 0.3], [0.9, 0.3]], dtype=np.float32)
    (first, second) = outcomes(replace(task, kind="multilabel"), held, [sure, sure], labels)
    assert first == second == [{"a": (1, 0, 0)}] * 2


def test_of_one_label_a_text_the_likeliest_counts(task: TaskData) -> None:
    held = labelled_texts([Example("0", "x", ("b",))], ["a", "b"], "single_label")
    said = np.array([[0.6, 0.4]], dtype=np.float32)
    found = outcomes(replace(task, kind="single_label"), [held], [said], ["a", "b"])
    assert found == [[{"a": (0, 1, 0), "b": (0, 0, 1)}]]


def test_spans_count_with_their_place(task: TaskData) -> None:
    example = Example(
        "0", "to oslo or rome", (), {"city": ("oslo",)}, target="to [city oslo ] or rome"
    )
    held = labelled_texts([example], [], "tagging")
    said = [read_brackets("to oslo or [city rome ]")]
    tagging = replace(task, kind="tagging", tags=("city",))
    assert outcomes(tagging, [held], [said], []) == [[{"city": (0, 1, 1)}]]


def test_a_label_whose_only_example_is_held_out_is_not_counted(task: TaskData) -> None:
    fold = Fold((Example("0", "x", ("rare", "wifi")),), (Example("1", "y", ("wifi",)),))
    found = [{"rare": (0, 0, 1), "wifi": (1, 0, 0)}]
    assert learnable(fold, found) == [{"wifi": (1, 0, 0)}]
