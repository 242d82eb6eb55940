"""Methods that make texts over plan as much as the others, and only what seed examples carry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from msp.config import RunConfig
from msp.methods import METHODS, first_round, make_plan, quota_targets
from msp.prompts.text import constraint_of
from msp.tasks import load_task
from msp.tasks.base import TaskData

REWRITERS = [name for name, method in METHODS.items() if method.rewrites]
# The others write nothing, or have a plan of their own.
OTHERWISE = ("promptmix", "promptmix_soft", "data_creation")
LIKE_MSP = [n for n, m in METHODS.items() if not (m.is_direct or n in OTHERWISE)]


def config(method: str, *, num_exemplars: int = 2, **generate: Any) -> RunConfig:
    tree = {
        "output_uri": "x",
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        "prompts": {
            "num_exemplars": num_exemplars,
            "source": "example" if method == "softsrv" else "attributes",
        },
        "generate": {"engine": "scripted", "method": method, **generate},
    }
    return RunConfig.model_validate(tree)


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(config("msp").task, seed=13)


@pytest.mark.parametrize("generate", [{}, {"combinations": "seen"}, {"combinations": "novel"}])
def test_every_method_plans_as_many_units_of_as_many_candidates(
    task: TaskData, generate: dict[str, Any]
) -> None:
    sizes = {name: make_plan(config(name, **generate), task).num_units for name in LIKE_MSP}
    assert set(sizes.values()) == {sizes["msp"]}


@pytest.mark.parametrize("method", REWRITERS)
def test_a_rewriters_unit_asks_for_its_own_seed_example_as_it_is(
    task: TaskData, method: str
) -> None:
    plan = make_plan(config(method, num_exemplars=0, units_per_seed_example=3), task)
    for unit in map(plan.unit, range(0, plan.num_units, 7)):
        (source,) = unit.exemplars
        asked = constraint_of(source)
        if method == "softsrv":  # which no text tells any string
            asked = replace(asked, values={})
        assert unit.seed_uid == source.uid and unit.constraint == asked
    assert len({plan.unit(i).random_seed for i in range(plan.num_units)}) == plan.num_units


@pytest.mark.parametrize("combinations", ["both", "novel"])
def test_for_exactly_n_rewriters_ask_for_what_seed_examples_carry_alone(
    task: TaskData, combinations: str
) -> None:
    wanted = config("eda", num_synthetic=700, combinations=combinations)
    targets = quota_targets(wanted, task)
    plan = make_plan(wanted, task, first_round(wanted, targets))
    seeds = {example.uid: constraint_of(example) for example in task.seeds}
    assert sum(targets.values()) == 700
    for unit in map(plan.unit, range(plan.num_units)):
        assert unit.constraint == seeds[unit.exemplars[-1].uid] and len(unit.exemplars) == 1


def test_in_context_shows_as_many_shots_in_every_unit(task: TaskData) -> None:
    plan = make_plan(config("in_context", num_shots=6), task)
    shown = [len(plan.unit(i).exemplars) for i in range(0, plan.num_units, 5)]
    assert max(shown) == 6 and sum(number >= 5 for number in shown) > 0.7 * len(shown)
    for unit in map(plan.unit, range(0, plan.num_units, 50)):
        assert len({e.uid for e in unit.exemplars}) == len(unit.exemplars)
        assert unit.exemplars[-1].uid == unit.seed_uid
