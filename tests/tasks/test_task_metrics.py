"""The figures are scikit-learn's, and the threshold is the best of those that are tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from msp.errors import TaskDataError
from msp.tasks.metrics import THRESHOLDS, best_threshold, multilabel_scores

shapes_and_rates = st.tuples(
    st.integers(1, 30), st.integers(1, 8), st.floats(0, 1), st.integers(0, 2**32 - 1)
)


@given(shapes_and_rates)
def test_the_figures_agree_with_scikit_learn(drawn: tuple[int, int, float, int]) -> None:
    num_examples, num_attributes, rate, seed = drawn
    rng = np.random.default_rng(seed)
    gold = rng.random((num_examples, num_attributes)) < rate
    predicted = gold ^ (rng.random(gold.shape) < 0.3)
    scores = multilabel_scores(gold, predicted)
    # A column of False keeps scikit-learn from reading [N, 1] as one binary task.
    g, p = (np.pad(side, ((0, 0), (0, 1))).astype(int) for side in (gold, predicted))
    supported = np.flatnonzero(g.any(axis=0))
    macro = (
        f1_score(g, p, average="macro", labels=supported, zero_division=0) if supported.size else 0
    )
    expected = {
        "micro_f1": f1_score(g, p, average="micro", zero_division=0),
        "macro_f1": macro,
        "exact_match": accuracy_score(g, p),
        "micro_precision": precision_score(g, p, average="micro", zero_division=0),
        "micro_recall": recall_score(g, p, average="micro", zero_division=0),
    }
    assert scores == pytest.approx({name: 100 * value for name, value in expected.items()})


def test_a_hand_counted_case() -> None:
    gold = np.array([[1, 0, 0], [1, 1, 0]], dtype=bool)
    predicted = np.array([[1, 0, 0], [1, 0, 1]], dtype=bool)
    scores = multilabel_scores(gold, predicted)
    assert scores["micro_f1"] == pytest.approx(100 * 2 / 3)
    assert scores["macro_f1"] == 50.0  # (1 + 0) / 2: nobody asked for the third
    assert scores["exact_match"] == 50.0


def test_no_example_is_refused() -> None:
    nothing = np.zeros((0, 3), dtype=bool)
    with pytest.raises(TaskDataError, match="no example to score"):
        multilabel_scores(nothing, nothing)


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_no_threshold_beats_the_chosen_one(seed: int, dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(seed)
    gold = rng.random((20, 4)) < 0.3
    # Rounded, so that scores fall on thresholds.
    scores = np.clip(gold * 0.3 + rng.random(gold.shape) * 0.7, 0, 1).round(2).astype(dtype)
    reached = {
        float(t): multilabel_scores(gold, scores >= float(t))["micro_f1"] for t in THRESHOLDS
    }
    chosen = best_threshold(scores, gold)
    assert reached[chosen] == pytest.approx(max(reached.values()))


def test_ties_take_the_middle_of_what_ties() -> None:
    gold = np.array([[True, False]])
    assert best_threshold(np.array([[0.8, 0.2]]), gold) == 0.5
    assert best_threshold(np.array([[0.9, 0.605]]), gold) == 0.75
    assert best_threshold(np.array([[0.9, 0.6]]), np.zeros((1, 2), dtype=bool)) == 0.5


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(TaskDataError, match="NaN"):
        best_threshold(np.array([[np.nan]]), np.array([[True]]))
