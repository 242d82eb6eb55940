"""Scores: the threshold comes from dev, and an arm's figures from all of its trainings."""

from __future__ import annotations

import numpy as np
import pytest

from msp.errors import TaskDataError
from msp.students.examples import LabelledTexts
from msp.students.score import NO_DEV_THRESHOLD, choose_threshold, score_training, summarise
from msp.tasks.metrics import best_threshold, multilabel_scores

LABELS = ("how", "spa", "never")


def split(*rows: tuple[bool, bool, bool]) -> LabelledTexts:
    return LabelledTexts(
        tuple(f"text {i}" for i in range(len(rows))), np.array(rows, dtype=bool).reshape(-1, 3)
    )


DEV = split((True, False, False), (False, True, False))
DEV_PROBABILITIES = np.array([[0.2, 0.05, 0.0], [0.05, 0.2, 0.0]], dtype=np.float32)
TEST = split((True, False, False), (True, True, False))
TEST_PROBABILITIES = np.array([[0.3, 0.04, 0.0], [0.19, 0.01, 0.0]], dtype=np.float32)


def test_the_threshold_is_chosen_on_dev_and_used_on_test() -> None:
    scores = score_training((DEV_PROBABILITIES, DEV), (TEST_PROBABILITIES, TEST), LABELS)
    assert 0.05 < scores["threshold"] < 0.2
    assert scores["metrics"]["micro_f1"] == pytest.approx(100 * 4 / 5)
    assert scores["metrics"]["exact_match"] == 50.0


def test_the_test_split_has_no_say_in_the_threshold() -> None:
    thresholds = {
        score_training((DEV_PROBABILITIES, DEV), (factor * TEST_PROBABILITIES, TEST), LABELS)[
            "threshold"
        ]
        for factor in (0.1, 1.0, 3.0)
    }
    assert len(thresholds) == 1


def test_per_attribute_figures_are_of_the_labels_that_test_has() -> None:
    scores = score_training((DEV_PROBABILITIES, DEV), (TEST_PROBABILITIES, TEST), LABELS)
    assert scores["per_attribute"] == {"how": 100.0, "spa": 0.0}


def test_without_dev_the_threshold_is_the_stated_one() -> None:
    nothing = (np.zeros((0, 3), dtype=np.float32), split())
    scores = score_training(nothing, (TEST_PROBABILITIES, TEST), LABELS)
    assert scores["threshold"] == NO_DEV_THRESHOLD


def test_a_lucky_threshold_on_few_dev_examples_gives_way_to_the_middle() -> None:
    rng = np.random.default_rng(3)
    gold = rng.random((400, 6)) < 0.3
    probabilities = np.clip(gold * 0.3 + 0.35 + 0.25 * rng.standard_normal(gold.shape), 0, 1)
    few = [choose_threshold(probabilities[i : i + 8], gold[i : i + 8]) for i in range(0, 400, 8)]
    best = [best_threshold(probabilities[i : i + 8], gold[i : i + 8]) for i in range(0, 400, 8)]
    assert np.std(few) < np.std(best)


def test_with_many_dev_examples_the_threshold_is_near_the_best() -> None:
    rng = np.random.default_rng(3)
    gold = rng.random((4000, 6)) < 0.3
    probabilities = np.clip(gold * 0.3 + 0.35 + 0.2 * rng.standard_normal(gold.shape), 0, 1)
    chosen, best = choose_threshold(probabilities, gold), best_threshold(probabilities, gold)
    f1 = [multilabel_scores(gold, probabilities >= t)["micro_f1"] for t in (chosen, best)]
    assert f1[0] == pytest.approx(f1[1], abs=0.5)


def test_where_nothing_tells_thresholds_apart_it_is_a_half() -> None:
    nothing = np.zeros((3, 2), dtype=bool)
    assert choose_threshold(np.zeros((3, 2), dtype=np.float32), nothing) == 0.5


def test_a_training_that_diverged_is_an_error() -> None:
    broken = np.full((2, 3), np.nan, dtype=np.float32)
    with pytest.raises(TaskDataError, match="diverged"):
        score_training((broken, DEV), (TEST_PROBABILITIES, TEST), LABELS)


def test_an_arm_has_mean_spread_and_every_trainings_figures() -> None:
    trainings = [
        {"threshold": t, "metrics": {"micro_f1": f}, "per_attribute": {"how": f / 2}}
        for t, f in ((0.3, 50.0), (0.5, 54.0))
    ]
    assert summarise(trainings) == {
        "micro_f1": {"mean": 52.0, "std": 2.0, "per_seed": [50.0, 54.0]},
        "per_attribute": {"how": 26.0},
        "thresholds": [0.3, 0.5],
    }
