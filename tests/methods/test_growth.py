"""Which accepted example formats which request, and where a set stops growing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from choice_tasks import Rounds, run_config, write_sets

from msp.config import RunConfig
from msp.methods.growth import GrownRounds
from msp.methods.rounds import CellCount, MadeUnit, RoundPlan

ROOT = (("question",), "the root", "{}")
STRATEGIES = ("naive", "random", "diverse", "similar", "tree")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets"))


class Growing:
    """Rounds whose units make what a test says."""

    def __init__(self, config: RunConfig, wanted: int = 10**6) -> None:
        self.rounds = GrownRounds(config, {("question",): wanted}, ROOT, encode=places)
        self.plan: RoundPlan | None = self.rounds.first()
        self.census = {("question",): CellCount()}

    def make(self, *nums: int, said: str = "text") -> RoundPlan | None:
        """Let unit i of the round make ``nums[i]`` examples; return the next round."""
        plan = self.plan
        assert plan is not None and len(nums) == plan.num_units
        made = []
        for i, num in enumerate(nums):
            first = (plan.first_unit + i) * 100
            found = tuple((first + k, f"{said} {first + k}", "{}") for k in range(num))
            made.append(MadeUnit(i, found))
        count = CellCount(len(nums), sum(nums), sum(nums), Counter())
        self.census[("question",)].add(count)
        self.rounds.take(plan, made)
        self.plan = self.rounds.next(self.census, before=plan)
        return self.plan

    @property
    def parents(self) -> list[int | None]:
        assert self.plan is not None
        return [request.parent for request in self.plan.requests]


def places(texts: list[str]) -> np.ndarray:
    """Put a text ``x 107`` at the angle of 7 degrees, and the root at 0."""
    angles = [float(t.split()[-1]) % 100 if t[-1].isdigit() else 0.0 for t in texts]
    radians = np.deg2rad(np.array(angles, dtype=np.float32))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def growing(folder: Path, strategy: str, *, wanted: int = 10**6, **created: object) -> Growing:
    return Growing(run_config(folder, "csqa", strategy=strategy, **created), wanted)


def test_every_accepted_example_is_a_node_of_the_next_level_breadth_first(folder: Path) -> None:
    tree = growing(folder, "tree")
    assert tree.parents == [None]
    tree.make(3)
    assert tree.parents == [0, 1, 2]
    assert {request.depth for request in tree.plan.requests} == {2}
    tree.make(2, 0, 1)
    assert tree.parents == [100, 101, 300] and tree.plan.first_unit == 4
    assert {request.depth for request in tree.plan.requests} == {3}


def test_a_level_that_is_too_large_for_a_round_goes_on_before_the_next_one(folder: Path) -> None:
    tree = growing(folder, "tree", max_requests_per_round=2)
    tree.make(3)
    assert tree.parents == [0, 1]
    tree.make(1, 1)
    assert tree.parents == [2, 100]
    assert [request.depth for request in tree.plan.requests] == [2, 3]


def test_a_tree_whose_nodes_are_all_asked_is_asked_again_from_the_root(folder: Path) -> None:
    tree = growing(folder, "tree", num_chains=2)
    tree.make(2)
    tree.make(0, 0)
    assert set(tree.parents) <= {None, 0, 1} and len(tree.parents) == 2
    tree.make(0, 0)
    assert set(tree.parents) == {None, 0, 1} and len(tree.parents) == 4
    tree.make(1, 0, 0, 0)
    assert len(tree.parents) == 1  # the new node alone


def test_no_more_is_asked_for_than_is_missing_by_the_measured_rate(folder: Path) -> None:
    tree = growing(folder, "tree", wanted=20)
    tree.make(16)
    assert len(tree.parents) < 4
    tree.make(*(2 for _ in tree.parents))
    assert tree.plan is None or tree.plan.num_units == 1


@pytest.mark.parametrize(("strategy", "next_"), [("diverse", [9, 0, 8]), ("similar", [0, 1, 2])])
def test_the_least_or_most_similar_of_all_accepted_formats_the_next_request(
    folder: Path, strategy: str, next_: list[int]
) -> None:
    chain = growing(folder, strategy, num_chains=1)
    chain.make(10)  # at 0 to 9 degrees
    found = []
    for _ in next_:
        found += chain.parents
        chain.make(0)
    assert found == next_  # each is away from, or near, the one before it, and none twice


def test_chains_that_step_together_do_not_take_the_same_example(folder: Path) -> None:
    for strategy in ("random", "diverse", "similar"):
        chains = growing(folder, strategy, num_chains=4)
        assert chains.parents == [None] * 4
        chains.make(2, 2, 0, 0)
        assert len(set(chains.parents)) == 4
        assert [request.chain for request in chains.plan.requests] == [0, 1, 2, 3]


def test_naive_chains_are_formatted_by_the_first_example_alone(folder: Path) -> None:
    chains = growing(folder, "naive", num_chains=3)
    for _ in range(3):
        assert chains.parents == [None] * 3
        assert {request.depth for request in chains.plan.requests} == {1}
        chains.make(2, 0, 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_stops_after_a_bounded_number_of_fruitless_requests(
    folder: Path, strategy: str
) -> None:
    run = growing(folder, strategy, max_fruitless=6, num_chains=2)
    run.make(*([1] * run.plan.num_units))
    num = 0
    while run.plan is not None:
        num += run.plan.num_units
        run.make(*([0] * run.plan.num_units))
    assert 6 <= num < 6 + 2 and f"the last {num} requests" in (run.rounds.stopped or "")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rounds_follow_from_what_was_accepted_alone(folder: Path, strategy: str) -> None:
    one, other = (
        Rounds(run_config(folder, "strategyqa", strategy=strategy)).grow() for _ in range(2)
    )
    assert [plan.to_json() for plan in one.plans] == [plan.to_json() for plan in other.plans]
    assert [unit.id for unit in one.units] == list(range(len(one.units)))
    assert one.kept == other.kept or repr(one.kept) == repr(other.kept)
    assert all(RoundPlan.from_json(p.to_json()).requests == p.requests for p in one.plans)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_parents_and_depths_make_a_forest(folder: Path, strategy: str) -> None:
    run = Rounds(run_config(folder, "csqa", strategy=strategy)).grow()
    depths = {None: 0} | {
        number: unit.growth.depth
        for unit in run.units
        for number in run.kept
        if number >> 16 == unit.id
    }
    for unit in run.units:
        assert unit.growth.depth == depths[unit.growth.parent] + 1
        shown = unit.exemplars[0]
        if unit.growth.parent is not None:
            assert shown.text == run.kept[unit.growth.parent].text
    if strategy == "tree":
        parents = [unit.growth.parent for unit in run.units]
        assert len(set(parents)) == len(parents) and max(depths.values()) >= 3


def test_each_answer_is_asked_for_as_often_as_it_is_lacking(folder: Path) -> None:
    run = Rounds(run_config(folder, "strategyqa", generate={"num_synthetic": 101})).grow()
    targets = run.planned.targets
    assert sorted(targets.values()) == [50, 51]
    for cell, wanted in targets.items():
        assert run.census[cell].accepted >= wanted
