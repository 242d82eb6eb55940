"""Where a round's generation goes, and the run that it becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from loops import NAMES, loop_config, made_measure, made_spent

from msp.errors import ConfigError
from msp.improve.config import load_improve_config
from msp.improve.plan import (
    PlannedRound,
    draw_units,
    plan_round,
    round_config,
    tilted,
)
from msp.improve.policies import POLICIES, Situation, Standing
from msp.methods import make_plan
from msp.methods.balance import attribute_sums
from msp.methods.base import unit_rng
from msp.tasks import load_task
from msp.tasks.base import TaskData


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(loop_config().run_config().task, seed=13)


def standing(error: float, num_real: int, kept: int = 0, made: int = 0) -> Standing:
    return Standing(error, num_real, kept, made)


def test_what_is_wrong_and_rare_gets_most_and_an_attribute_that_is_full_gets_less() -> None:
    situation = Situation(
        {
            "weak": standing(0.8, 2),
            "full": standing(0.8, 2, kept=200, made=400),
            "known": standing(0.1, 2),
        },
        keep_rate=0.5,
    )
    weights = POLICIES["error_shortage"](situation)
    assert weights["weak"] > weights["full"] and weights["weak"] > weights["known"]
    assert len({*POLICIES["uniform"](situation).values()}) == 1
    assert POLICIES["error"](situation)["full"] == POLICIES["error"](situation)["weak"]


def test_where_nearly_all_is_dropped_the_yield_policy_spends_less() -> None:
    situation = Situation(
        {"barren": standing(0.8, 2, 0, 900), "new": standing(0.8, 2)}, keep_rate=0.3
    )
    weights = POLICIES["error_shortage_yield"](situation)
    assert weights["barren"] < 0.1 * weights["new"]


def test_an_attribute_seen_on_one_example_is_not_taken_at_its_word() -> None:
    found = made_measure(0, [0.6] * 3)
    one_wrong = type(found.attributes["wifi"])(hits=0, wrong=1, missed=1, num_examples=1)
    error = one_wrong.error(found.overall_error)
    assert found.overall_error < error < 0.5 * (1 + found.overall_error)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_round_has_exactly_its_units_and_its_run_plans_the_same(
    policy: str, task: TaskData
) -> None:
    config = loop_config(policy=policy, candidates_per_round=250)
    names = [attribute.name for attribute in task.ontology.attributes]
    measure = made_measure(0, [0.2, 0.5, 0.9])
    first = plan_round(config, task, measure, [], before=None)
    assert first.num_units == config.units_per_round == 50
    assert {name for cell in first.units for name in cell} <= {*names, *task.ontology.positions}
    run = round_config(config, first)
    plan = make_plan(run, task)
    asked: dict[Any, int] = {}
    for index in range(plan.num_units):
        cell = plan.unit(index).constraint.attributes
        asked[cell] = asked.get(cell, 0) + 1
    assert plan.num_units == 50 and plan.first_unit == 0
    assert attribute_sums(asked).items() <= {**attribute_sums(first.units)}.items()


def test_later_rounds_go_on_from_the_units_before_and_name_their_parent(task: TaskData) -> None:
    config = loop_config()
    first = plan_round(config, task, made_measure(0, [0.5] * 3), [], before=None)
    second = plan_round(config, task, made_measure(1, [0.5] * 3), [made_spent(1)], before=first)
    run = round_config(config, second)
    assert (second.number, second.first_unit) == (2, first.num_units)
    assert run.parent == "runs/x/rounds/1" and run.output_uri == "runs/x/rounds/2"
    assert round_config(config, first).parent is None
    ids = [make_plan(run, task).unit(i).id for i in range(3)]
    assert ids == [first.num_units + i for i in range(3)]
    streams = {
        make_plan(round_config(config, p), task).unit(0).random_seed for p in (first, second)
    }
    assert len(streams) == 2


def test_a_plan_survives_its_record(task: TaskData) -> None:
    found = plan_round(loop_config(), task, made_measure(0, [0.5] * 3), [], before=None)
    assert PlannedRound.from_json(json.loads(found.to_json())) == found
    assert sum(found.shares.values()) == pytest.approx(1)
    assert {*NAMES}.isdisjoint({}) and found.standings


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("policy: eror", "policy is 'eror'.*did you mean 'error'"),
        ("base: {generate: {num_synthetic: 5}}", "base.generate.num_synthetic is set"),
        ("base: {parent: x}", "base.parent is set"),
        ("candidates_per_round: 3", "one unit makes 5"),
        ("budget: {dollars: 3}", "no price is known"),
        ("base: {generate: {method: fine_tune}}", "generates nothing"),
        ("measure: {folds: 1}", "measure.folds is 1"),
        ("runds: 2", "runds is not a known key; did you mean 'rounds'"),
    ],
)
def test_a_loop_that_cannot_work_is_refused(tmp_path: Any, line: str, message: str) -> None:
    import yaml

    tree = {"output_uri": "x", "candidates_per_round": 100, "base": {}}
    tree["base"] = {"task": {"name": "jsonl", "path": "sample:front_desk"}}
    changed = yaml.safe_load(line)
    tree["base"] |= changed.pop("base", {})
    path = tmp_path / "loop.yaml"
    path.write_text(yaml.safe_dump(tree | changed))
    with pytest.raises(ConfigError, match=message):
        load_improve_config(path)


def test_units_go_to_as_many_combinations_as_there_are_by_their_weights() -> None:
    even = {(f"a{i}",): 1.0 for i in range(200)}
    drawn = draw_units(even, 90, unit_rng("x"))
    assert len(drawn) == 90 and {*drawn.values()} == {1}
    uneven = {("a",): 3.0, ("b",): 1.0, ("c",): 0.0}
    assert draw_units(uneven, 40, unit_rng("x")) == {("a",): 30, ("b",): 10}
    other = draw_units(even, 90, unit_rng("y"))
    assert other != drawn


def test_a_combination_weighs_as_its_attributes_do() -> None:
    weights = {("a",): 1.0, ("b",): 1.0, ("a", "b"): 2.0, ("slot",): 5.0}
    found = tilted(weights, {"a": 0.9, "b": 0.1})
    assert found == pytest.approx({("a",): 0.9, ("b",): 0.1, ("a", "b"): 1.0})
