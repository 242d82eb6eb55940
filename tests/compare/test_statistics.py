"""The paired test and interval beside brute force and scipy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from msp.compare import statistics
from msp.compare.statistics import compare_paired

DIFFERENCES = st.lists(st.floats(-20, 20).map(lambda x: round(x, 2)), min_size=1, max_size=8)


@given(st.lists(DIFFERENCES, min_size=1, max_size=2))
def test_p_is_the_share_of_sign_vectors_that_are_as_far_from_0(strata: list[list[float]]) -> None:
    weighted = [x / len(s) / len(strata) for s in strata for x in s]
    observed = abs(sum(weighted))
    sums = [
        abs(sum(sign * x for sign, x in zip(signs, weighted, strict=True)))
        for signs in product((1, -1), repeat=len(weighted))
    ]
    expected = sum(value >= observed - 1e-9 for value in sums) / len(sums)
    found = compare_paired(strata)
    assert found is not None
    assert found.p == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean([np.mean(s) for s in strata]))
    assert found.smallest_p <= found.p <= 1


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=2, max_size=10))
def test_p_is_that_of_scipys_exact_permutation_test(differences: list[float]) -> None:
    result = stats.permutation_test(
        (np.array(differences),),
        np.sum,
        permutation_type="samples",
        alternative="two-sided",
        n_resamples=np.inf,
    )
    found = compare_paired([differences])
    assert found is not None
    assert found.p == pytest.approx(min(1.0, result.pvalue), abs=1e-6)


def test_many_pairs_are_sampled_near_the_exact_p_and_the_same_every_time() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1.0, size=16).tolist()
    exact, sampled = compare_paired([differences]), None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "MAX_EXACT_PAIRS", 10)
        sampled = compare_paired([differences])
        assert compare_paired([differences]) == sampled
    assert exact is not None and sampled is not None
    assert sampled.p == pytest.approx(exact.p, abs=0.01)
    assert sampled.smallest_p == 1 / 20_001


@given(DIFFERENCES)
def test_the_interval_lies_between_the_extremes_and_holds_the_mean_of_equal_pairs(
    differences: list[float],
) -> None:
    found = compare_paired([differences])
    assert found is not None
    if len(differences) == 1:
        assert (found.low, found.high) == (None, None)
        return
    assert found.low is not None and found.high is not None
    assert min(differences) - 1e-9 <= found.low <= found.high <= max(differences) + 1e-9


def test_the_interval_is_that_of_scipys_bootstrap() -> None:
    differences = np.random.default_rng(5).normal(1.0, 2.0, size=30)
    theirs = stats.bootstrap(
        (differences,), np.mean, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = compare_paired([differences.tolist()])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.06)


def test_a_task_with_many_folds_weighs_as_much_as_one_with_few() -> None:
    found = compare_paired([[1.0] * 9, [-1.0]])
    assert found is not None
    assert found.mean == pytest.approx(0.0)


def test_what_few_pairs_cannot_say_is_said() -> None:
    found = compare_paired([[4.7, 3.3, 5.3]])
    assert found is not None
    assert (found.p, found.smallest_p, found.tone) == (0.25, 0.25, "same")
    assert found.leans
    assert compare_paired([[], []]) is None


def test_equal_scores_are_no_difference() -> None:
    found = compare_paired([[0.0, 0.0, 0.0]])
    assert found is not None
    assert (found.mean, found.p, found.tone, found.leans) == (0.0, 1.0, "same", False)
