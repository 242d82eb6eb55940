"""A balance over attributes becomes whole numbers for combinations, and they sum to N."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import GenerateConfig
from msp.errors import ConfigError
from msp.methods.balance import attribute_sums, targets, whole_numbers, whole_numbers_by_attribute

CELLS = {("a",): 6.0, ("b",): 3.0, ("a", "b"): 1.0, ("c",): 1.0}
COUNTS = Counter({"a": 7, "b": 4, "c": 1})


def asked(**settings: object) -> dict[tuple[str, ...], int]:
    config = GenerateConfig.model_validate({"num_synthetic": 1200, **settings})
    return targets(config, CELLS, COUNTS)


def test_as_the_seeds_means_in_their_proportions() -> None:
    sums = attribute_sums(asked(balance="seed"))
    assert sums == pytest.approx({"a": 764, "b": 436, "c": 109}, rel=0.03)


def test_uniform_gives_every_attribute_the_same() -> None:
    sums = attribute_sums(asked(balance="uniform"))
    assert max(sums.values()) - min(sums.values()) <= 2


def test_inverse_gives_the_rare_attribute_most() -> None:
    sums = attribute_sums(asked(balance="inverse"))
    assert sums["c"] == pytest.approx(7 * sums["a"], rel=0.05)


def test_shares_by_name_bring_other_attributes_only_as_companions() -> None:
    numbers = asked(balance={"b": 0.75, "c": 0.25})
    sums = attribute_sums(numbers)
    assert numbers[("a",)] == 0 and sums["b"] == pytest.approx(900, abs=2)


@pytest.mark.parametrize("balance", ["seed", "uniform", "inverse"])
def test_over_combinations_each_combination_has_its_own_share(balance: str) -> None:
    numbers = asked(balance=balance, balance_over="combinations")
    ratio = numbers[("a",)] / numbers[("c",)]
    assert ratio == pytest.approx({"seed": 6, "uniform": 1, "inverse": 1 / 6}[balance], rel=0.05)


def test_a_combination_is_named_by_its_labels_in_any_order() -> None:
    numbers = asked(balance={"b+a": 0.5, "c": 0.5}, balance_over="combinations")
    assert numbers[("a", "b")] == numbers[("c",)] == 600


@pytest.mark.parametrize("over", ["attributes", "combinations"])
def test_a_share_for_what_is_not_there_is_refused_with_its_name(over: str) -> None:
    with pytest.raises(ConfigError, match="'bb'"):
        asked(balance={"bb": 1.0}, balance_over=over)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=40), st.integers(0, 10**6))
def test_whole_numbers_sum_to_the_total_and_are_off_by_less_than_one(
    shares: list[float], total: int
) -> None:
    shares[0] += 1.0
    numbers = whole_numbers(np.array(shares), total)
    exact = np.array(shares) / sum(shares) * total
    assert sum(numbers) == total
    assert np.all(np.abs(np.array(numbers) - exact) < 1.0 + 1e-6 * total)


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.sets(st.integers(0, 4))), min_size=1, max_size=40),
    st.integers(0, 200),
)
def test_whole_numbers_by_attribute_sum_to_the_total_and_are_off_by_less_than_one(
    cells: list[tuple[float, set[int]]], total: int
) -> None:
    shares = np.array([share for share, _ in cells])
    carries = np.array([[float(a in names) for a in range(5)] for _, names in cells])
    numbers = whole_numbers_by_attribute(shares, total, carries)
    assert sum(numbers) == total
    assert np.all(np.abs(numbers - shares / shares.sum() * total) < 1 + 1e-9)


def test_few_examples_over_many_combinations_still_have_the_asked_shares() -> None:
    cells = {("a", f"a{i}"): 1.0 for i in range(150)} | {("b", f"b{i}"): 1.0 for i in range(150)}
    config = GenerateConfig.model_validate({"num_synthetic": 80, "balance": {"a": 0.75, "b": 0.25}})
    sums = attribute_sums(targets(config, cells, Counter()))
    assert (sums["a"], sums["b"]) == (60, 20)
