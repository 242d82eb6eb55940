"""The plan for exactly N: every combination as often as its round says, well mixed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from msp.config import RunConfig
from msp.methods import first_round, make_plan, quota_targets
from msp.methods.combinations import carried
from msp.methods.rounds import RoundPlan
from msp.tasks import load_task
from msp.tasks.base import TaskData

SAMPLE = {"name": "jsonl", "path": "sample:front_desk"}


def config(**generate: object) -> RunConfig:
    generate = {"num_synthetic": 500, **generate}
    return RunConfig.model_validate({"output_uri": "x", "task": SAMPLE, "generate": generate})


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(config().task, seed=13)


def asked(unit: object) -> tuple[str, ...]:
    constraint = unit.constraint  # type: ignore[attr-defined]
    return tuple(dict.fromkeys([*constraint.attributes, *constraint.values]))


def test_each_combination_is_asked_for_as_often_as_the_record_says(task: TaskData) -> None:
    record = first_round(config(), quota_targets(config(), task))
    plan = make_plan(config(), task, record)
    units = [plan.unit(i) for i in range(plan.num_units)]
    assert Counter(map(asked, units)) == Counter(record.units)
    assert [unit.id for unit in units] == list(range(plan.num_units))


def test_a_new_combination_shows_two_seed_examples_that_carry_it_together(task: TaskData) -> None:
    only = config(combinations="novel")
    plan = make_plan(only, task)
    known = {frozenset(example.attributes) for example in task.seeds}
    for unit in map(plan.unit, range(plan.num_units)):
        labels = frozenset(unit.constraint.attributes)
        assert labels not in known
        assert labels <= {a for e in unit.exemplars for a in e.attributes}


@pytest.mark.parametrize("balance", ["seed", "uniform", "inverse"])
def test_a_label_that_no_seed_example_carries_has_its_share(task: TaskData, balance: str) -> None:
    rest = replace(task, seeds=tuple(e for e in task.seeds if "wifi" not in e.attributes))
    asking = config(balance=balance)
    wanted = quota_targets(asking, rest)
    assert sum(n for cell, n in wanted.items() if "wifi" in cell) > 0
    plan = make_plan(asking, rest, first_round(asking, wanted))
    units = [u for u in map(plan.unit, range(plan.num_units)) if "wifi" in u.constraint.attributes]
    assert units and all(e in rest.seeds for unit in units for e in unit.exemplars)
    off = quota_targets(config(balance=balance, unseen_attributes=False), rest)
    assert not any("wifi" in cell for cell in off)


def test_seen_asks_for_nothing_that_no_seed_example_has(task: TaskData) -> None:
    plan = make_plan(config(combinations="seen"), task)
    known = {carried(example) for example in task.seeds}
    assert {asked(plan.unit(i)) for i in range(plan.num_units)} <= known


def test_combinations_are_mixed_so_that_no_shard_is_all_of_one_kind(task: TaskData) -> None:
    cells = [("wifi",), ("billing",)]
    plan = make_plan(config(), task, RoundPlan(0, 0, dict.fromkeys(cells, 100)))
    first = [asked(plan.unit(i)) for i in range(32)]
    assert 10 <= first.count(("wifi",)) <= 22


def test_a_later_round_has_other_ids_and_other_streams(task: TaskData) -> None:
    first = make_plan(config(), task, RoundPlan(0, 0, {("wifi",): 5}))
    later = make_plan(config(), task, RoundPlan(1, 5, {("wifi",): 5}))
    ids = [plan.unit(i).id for plan in (first, later) for i in range(5)]
    assert ids == list(range(10))
    assert first.unit(0).random_seed != later.unit(0).random_seed
    assert later.unit(0).round == 1
