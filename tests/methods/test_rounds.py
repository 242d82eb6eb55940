"""Rounds end at exactly N where that can be had, and say what is short where it cannot."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from msp.config import RunConfig
from msp.methods.balance import Cell, attribute_sums
from msp.methods.rounds import CellCount, RoundPlan, first_round, next_round, settle

A, B, AB, C = ("a",), ("b",), ("a", "b"), ("c",)
TARGETS: dict[Cell, int] = {A: 40, B: 30, AB: 20, C: 10}


def config(**generate: object) -> RunConfig:
    generate = {"num_synthetic": 100, **generate}
    return RunConfig.model_validate(
        {"output_uri": "x", "task": {"name": "jsonl", "path": "x"}, "generate": generate}
    )


def census(accepted: dict[Cell, int], candidates: int = 200) -> dict[Cell, CellCount]:
    return {
        cell: CellCount(candidates // 5, candidates, n, Counter(off_topic=candidates - n))
        for cell, n in accepted.items()
    }


def test_the_first_round_would_do_if_every_unit_kept_all_it_may() -> None:
    plan = first_round(config(), TARGETS)
    assert plan.units == {A: 10, B: 8, AB: 5, C: 3}


def test_a_round_asks_for_what_is_short_by_the_measured_rate_and_for_nothing_else() -> None:
    before = RoundPlan(0, 0, {A: 40, B: 40, AB: 40, C: 40})
    found = next_round(config(), TARGETS, census({A: 40, B: 30, AB: 10, C: 9}), before=before)
    assert found is not None and set(found.units or {}) == {AB, C}
    assert (found.number, found.first_unit) == (1, 160)
    assert (found.units or {})[AB] > 10 / (10 / 40) * 0.9  # one in four units gave one


def test_nothing_is_asked_once_all_is_there() -> None:
    before = RoundPlan(0, 0, {A: 1})
    enough = census({A: 50, B: 30, AB: 20, C: 10})
    assert next_round(config(), TARGETS, enough, before=before) is None


def test_a_hopeless_combination_is_given_up_and_others_stand_in_for_its_attributes() -> None:
    found = census({A: 60, B: 60, AB: 0, C: 10})
    settled = settle(config(), TARGETS, found)
    assert sum(settled.values()) == 100 and settled[AB] == 0
    assert settled[C] == 10
    assert next_round(config(), TARGETS, found, before=RoundPlan(0, 0, {A: 1})) is None


def test_an_attribute_that_nothing_else_carries_stays_short() -> None:
    found = census({A: 60, B: 60, AB: 40, C: 0})
    settled = settle(config(), TARGETS, found)
    assert sum(settled.values()) == 90
    assert next_round(config(), TARGETS, found, before=RoundPlan(0, 0, {A: 1})) is None


def test_over_combinations_none_stands_in_for_another() -> None:
    found = census({A: 60, B: 60, AB: 0, C: 10})
    settled = settle(config(balance_over="combinations"), TARGETS, found)
    assert settled == {A: 40, B: 30, AB: 0, C: 10}


def test_a_record_survives_the_store() -> None:
    plan = RoundPlan(3, 77, {A: 1, AB: 2})
    assert RoundPlan.from_json(plan.to_json()) == plan


counts = st.dictionaries(st.sampled_from([A, B, AB, C, ("b", "c")]), st.integers(0, 60))


@given(counts.filter(lambda t: any(t.values())), counts)
def test_never_more_than_asked_and_never_more_than_accepted(
    targets: dict[Cell, int], accepted: dict[Cell, int]
) -> None:
    settled = settle(config(num_synthetic=sum(targets.values())), targets, census(accepted))
    assert sum(settled.values()) <= sum(targets.values())
    assert all(n <= accepted.get(cell, 0) for cell, n in settled.items())
    wanted = set(attribute_sums(targets))
    assert all(set(cell) & wanted for cell, n in settled.items() if n)


def test_a_combination_of_which_nearly_all_is_dropped_is_given_up() -> None:
    before = RoundPlan(0, 0, {A: 1})
    costly = next_round(config(), TARGETS, census({A: 40, B: 30, AB: 4, C: 9}), before=before)
    assert costly is not None and AB not in (costly.units or {})
    slow = next_round(config(), TARGETS, census({A: 40, B: 30, AB: 6, C: 9}), before=before)
    assert slow is not None and AB in (slow.units or {})
