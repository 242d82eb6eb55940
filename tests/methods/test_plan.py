"""The plan is a function: unit i follows from config, seed examples and i alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import RunConfig
from msp.errors import ConstraintError
from msp.methods import make_plan
from msp.methods.base import candidate_stream, num_shards, shard_units
from msp.records import CANDIDATES_PER_UNIT_LIMIT
from msp.tasks import load_task
from msp.tasks.base import TaskData

SAMPLE = {"name": "jsonl", "path": "sample:front_desk"}


def config(**generate: object) -> RunConfig:
    return RunConfig.model_validate({"output_uri": "x", "task": SAMPLE, "generate": generate})


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(config().task, seed=13)


def test_a_unit_asks_for_what_its_seed_example_carries(task: TaskData) -> None:
    plan = make_plan(config(), task)
    unit = plan.unit(5)
    source = next(example for example in task.seeds if example.uid == unit.seed_uid)
    assert unit.constraint.attributes == source.attributes
    assert unit.constraint.values == source.values
    assert unit.exemplars[-1] == source


def test_exemplars_share_something_with_the_constraint(task: TaskData) -> None:
    plan = make_plan(config(), task)
    for unit in map(plan.unit, range(len(task.seeds))):
        asked = {*unit.constraint.attributes, *unit.constraint.values}
        assert all(asked & {*e.attributes, *e.values} for e in unit.exemplars)
        assert len({e.uid for e in unit.exemplars}) == len(unit.exemplars)


def test_a_novel_unit_mixes_labels_of_two_seed_examples_that_none_has_together(
    task: TaskData,
) -> None:
    plan = make_plan(config(units_per_seed_example=0, novel_units_per_seed_example=2), task)
    seen = {frozenset(example.attributes) for example in task.seeds}
    assert plan.num_units == 2 * len(task.seeds)
    for unit in map(plan.unit, range(plan.num_units)):
        asked = frozenset(unit.constraint.attributes)
        carried = frozenset(a for e in unit.exemplars for a in e.attributes)
        assert asked not in seen and asked <= carried and not unit.constraint.values
        assert unit.exemplars[-1].uid == unit.seed_uid


def without(task: TaskData, label: str) -> TaskData:
    """Return the task without the seed examples that carry a label."""
    return replace(task, seeds=tuple(e for e in task.seeds if label not in e.attributes))


def test_a_label_that_no_seed_example_carries_takes_part_in_new_combinations(
    task: TaskData,
) -> None:
    rest = without(task, "wifi")
    asking = {"units_per_seed_example": 0, "novel_units_per_seed_example": 20}
    plan = make_plan(config(**asking), rest)
    units = [u for u in map(plan.unit, range(plan.num_units)) if "wifi" in u.constraint.attributes]
    # One label in as many as there are seed examples, give or take.
    assert 0 < len(units) < plan.num_units / 20
    sizes = {len(unit.constraint.attributes) for unit in units}
    assert 1 in sizes and 2 in sizes
    assert all(e in rest.seeds for unit in units for e in unit.exemplars)
    off = make_plan(config(**asking, unseen_attributes=False), rest)
    assert not any("wifi" in off.unit(i).constraint.attributes for i in range(off.num_units))


def test_a_task_whose_labels_cannot_be_mixed_anew_repeats_what_it_has(task: TaskData) -> None:
    import dataclasses

    alike = tuple(e for e in task.seeds if e.attributes == task.seeds[0].attributes)[:1] * 2
    plan = make_plan(config(), dataclasses.replace(task, seeds=alike))
    known = alike[0].attributes
    assert {plan.unit(i).constraint.attributes for i in range(plan.num_units)} >= {known}


def test_a_unit_is_the_same_in_every_process() -> None:
    code = (
        "from tests.methods.test_plan import config, load_task, make_plan\n"
        "c = config(units_per_seed_example=3)\n"
        "plan = make_plan(c, load_task(c.task, seed=13))\n"
        "print([repr(plan.unit(i)) for i in (0, 7, 531, plan.num_units - 1)])"
    ).replace("from tests.methods.test_plan", "from test_plan")
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=__file__.rpartition("/")[0],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_repeats_of_a_seed_example_have_their_own_streams(task: TaskData) -> None:
    plan = make_plan(config(units_per_seed_example=3, novel_units_per_seed_example=0), task)
    per_round = plan.num_units // 3
    first, again = plan.unit(4), plan.unit(4 + per_round)
    assert first.seed_uid == again.seed_uid
    assert abs(first.random_seed - again.random_seed) >= CANDIDATES_PER_UNIT_LIMIT


@given(st.integers(), st.integers(0, 2**40))
def test_candidate_streams_are_positive_and_leave_room_for_a_unit(seed: int, unit_id: int) -> None:
    start = candidate_stream(seed, unit_id)
    assert 0 <= start < 2**63 - CANDIDATES_PER_UNIT_LIMIT
    assert start % CANDIDATES_PER_UNIT_LIMIT == 0


@given(st.integers(1, 10_000), st.integers(1, 300))
def test_shards_cut_the_plan_without_gap_or_overlap(num_units: int, per_shard: int) -> None:
    shards = range(num_shards(num_units, per_shard))
    ids = [i for shard in shards for i in shard_units(shard, per_shard, num_units)]
    assert ids == list(range(num_units))


def test_only_units_with_an_asked_attribute_are_planned(task: TaskData) -> None:
    plan = make_plan(config(attributes=["wifi"]), task)
    assert 0 < plan.num_units < make_plan(config(), task).num_units
    assert all("wifi" in plan.unit(i).constraint.attributes for i in range(plan.num_units))


def test_an_unknown_attribute_is_refused_with_the_nearest_known_one(task: TaskData) -> None:
    with pytest.raises(ConstraintError, match=r"'wify'.*did you mean 'wifi'"):
        make_plan(config(attributes=["wify"]), task)


def test_an_attribute_without_a_seed_example_is_refused(task: TaskData) -> None:
    import dataclasses

    without = tuple(e for e in task.seeds if "wifi" not in e.attributes)
    with pytest.raises(ConstraintError, match="no seed example carries it"):
        make_plan(config(attributes=["wifi"]), dataclasses.replace(task, seeds=without))
