"""Round after round of generation until the run has what it was asked for.

One pass is the one round of a run that asks for no number. A run that asks
for exactly N plans each further round from what the earlier ones committed,
and ends when N are accepted, when nothing more can be gained, or at
``generate.max_rounds``; then it says what is short and why.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from msp.config import RunConfig
from msp.denoise.final import Cell, FinalVerdicts, write_cutoffs
from msp.distributed.census import cutoffs, merged, round_census
from msp.distributed.duplicates import find_round_duplicates
from msp.distributed.generate import Totals, generate_round, resume_totals
from msp.distributed.shard_source import ShardId
from msp.errors import DropRateError
from msp.methods import RoundPlan, open_rounds
from msp.methods.balance import attribute_sums
from msp.methods.combinations import carried
from msp.methods.rounds import CellCount, Census, MadeUnit, settle
from msp.progress import console
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData

_MAX_SHOWN = 12


@dataclass(slots=True)
class _Run:
    """A run's generation under way: what is committed so far, by shards and by counts."""

    config: RunConfig
    task: TaskData
    store: ObjectStore
    totals: Totals
    shards: list[ShardId] = field(default_factory=list)

    def do(self, plan: RoundPlan) -> list[ShardId]:
        """Commit a round and find its duplicates; return its shards."""
        num = generate_round(
            self.config, self.task, self.store, round_plan=plan, totals=self.totals
        )
        made = [(plan.number, shard) for shard in range(num)]
        self.shards += made
        find_round_duplicates(self.config, self.store, self.shards, round_plan=plan)
        return made


def generate_candidates(config: RunConfig, task: TaskData, store: ObjectStore) -> list[ShardId]:
    """Return every shard of the run once all its rounds are committed and selected from.

    Raises:
        DropRateError: nearly everything of the first round is dropped, or all of a set that
            grows; what is committed stays.
        GenerationError: an actor fails for good.
    """
    run = _Run(config, task, store, resume_totals(store))
    if config.generate.num_synthetic is None:
        run.do(RoundPlan(0, 0))
        return run.shards
    rounds = open_rounds(config, task)
    targets = rounds.targets
    census: Census = {}
    plan = _recorded(store, rounds.first())
    while True:
        made = run.do(plan)
        census = merged(census, round_census(config, store, made))
        rounds.take(plan, _accepted(store, made, plan))
        numbers = settle(config, targets, census)
        _say_round(plan, numbers, targets)
        further = rounds.next(census, before=plan)
        if further is None or further.number >= config.generate.max_rounds:
            break
        plan = _recorded(store, further)
    write_cutoffs(store, cutoffs(config, run.shards, numbers, census))
    num_rounds = plan.number + 1
    quota = quota_record(task, num_rounds, targets=targets, numbers=numbers, census=census)
    quota["stopped"] = rounds.stopped
    store.write(layout.QUOTA_JSON, json.dumps(quota, indent=1).encode())
    if config.generate.grows and not quota["num_delivered"]:
        raise _nothing_grown(rounds.stopped or f"{num_rounds} rounds (generate.max_rounds)", census)
    if config.generate.max_rounds > 1:  # else nothing was tried for what is short
        _say_short(quota)
    return run.shards


def _nothing_grown(stopped: str, census: Census) -> DropRateError:
    reasons: Counter[str] = sum((count.reasons for count in census.values()), Counter())
    commonest = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3))
    return DropRateError(
        f"nothing was kept of {reasons.total()} candidates ({commonest}): {stopped}; name a larger "
        "model.name, raise generate.max_new_tokens, or show a simpler example as "
        "generate.data_creation.example."
    )


def _accepted(store: ObjectStore, shards: list[ShardId], plan: RoundPlan) -> Iterator[MadeUnit]:
    """Yield a round's units in order with what was accepted, one shard in memory at a time."""
    verdicts = FinalVerdicts(store)
    for round_, shard in shards:
        for unit in verdicts.read(round_, shard).to_pylist():
            kept = (
                (candidate["candidate_id"], candidate["text"], candidate["target"])
                for candidate in unit["candidates"]
                if candidate["kept"]
            )
            yield MadeUnit(unit["id"] - plan.first_unit, tuple(kept))


def _recorded(store: ObjectStore, plan: RoundPlan) -> RoundPlan:
    """Return the round's record as the store has it, which is this one unless another was first."""
    key = layout.round_key(plan.number)
    store.write_once(key, plan.to_json())
    read_json(store, key)  # names it where it is damaged
    return RoundPlan.from_json(store.read(key))


def quota_record(
    task: TaskData,
    num_rounds: int,
    *,
    targets: dict[Cell, int],
    numbers: dict[Cell, int],
    census: Census,
) -> dict[str, Any]:
    """Return what was asked for, what there is and what is short, as JSON values."""
    asked, delivered = attribute_sums(targets), attribute_sums(numbers)
    accepted = attribute_sums({cell: count.accepted for cell, count in census.items()})
    seeds = Counter(name for seed in task.seeds for name in carried(seed))
    reasons = _reasons_by_attribute(census)
    return {
        "num_synthetic": sum(targets.values()),
        "num_delivered": sum(numbers.values()),
        "num_rounds": num_rounds,
        "attributes": {
            name: {
                "seed": seeds[name],
                "asked": asked.get(name, 0),
                "accepted": accepted.get(name, 0),
                "delivered": delivered.get(name, 0),
                "commonest_reason": next(iter(reasons[name].most_common(1)), (None,))[0],
            }
            for name in sorted({*asked, *delivered})
            if asked.get(name) or delivered.get(name)
        },
        "short": [
            {
                "combination": list(cell),
                "asked": number,
                "delivered": numbers.get(cell, 0),
                "candidates": (count := census.get(cell, CellCount())).candidates,
                "commonest_reason": next(iter(count.reasons.most_common(1)), (None,))[0],
            }
            for cell, number in sorted(targets.items())
            if numbers.get(cell, 0) < number
        ],
    }


def _reasons_by_attribute(census: Census) -> dict[str, Counter[str]]:
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, count in census.items():
        for name in cell:
            reasons[name].update(count.reasons)
    return reasons


def _say_round(plan: RoundPlan, numbers: dict[Cell, int], targets: dict[Cell, int]) -> None:
    console().print(
        f"generate: round {plan.number}, {plan.num_units} units; "
        f"{sum(numbers.values())} of {sum(targets.values())} synthetic examples",
        markup=False,
    )


def _because(quota: dict[str, Any]) -> str:
    return f": {quota['stopped']}" if quota["stopped"] else ""


def _say_short(quota: dict[str, Any]) -> None:
    """Tell what is missing from N, by attribute, and why."""
    if quota["num_delivered"] >= quota["num_synthetic"]:
        return
    out = console()
    out.print(
        f"generate: {quota['num_delivered']} of {quota['num_synthetic']} synthetic examples after "
        f"{quota['num_rounds']} rounds{_because(quota)}; short are:",
        markup=False,
    )
    short = {
        name: counts
        for name, counts in quota["attributes"].items()
        if counts["delivered"] < counts["asked"]
    }
    by_lack = sorted(short.items(), key=lambda item: item[1]["delivered"] - item[1]["asked"])
    for name, counts in by_lack[:_MAX_SHOWN]:
        out.print(
            f"  {name}: {counts['delivered']} of {counts['asked']}"
            f" (mostly {counts['commonest_reason']})",
            markup=False,
        )
    if len(by_lack) > _MAX_SHOWN:
        out.print(f"  and {len(by_lack) - _MAX_SHOWN} more: see {layout.QUOTA_JSON}", markup=False)
