"""The next round: how many units each combination gets, and the run that makes them.

A plan follows from what was measured and made before, and is written once, so
that a loop that was killed goes on with the same one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msp.config import RunConfig
from msp.errors import ConstraintError
from msp.improve.config import ImproveConfig
from msp.improve.measure import Counts, Measure
from msp.improve.policies import POLICIES, Situation, Standing
from msp.improve.spent import Made, Spent
from msp.methods import find_method
from msp.methods.balance import Cell
from msp.methods.base import unit_rng
from msp.methods.combinations import carried
from msp.methods.quota import cell_weights
from msp.tasks.base import TaskData

ROUNDS_PREFIX = "rounds/"


def round_key(number: int) -> str:
    """Return where a round's run is, below the loop's output."""
    return f"{ROUNDS_PREFIX}{number}"


@dataclass(frozen=True)
class PlannedRound:
    """One round of the loop.

    Args:
        number: 1 for the first.
        first_unit: the id of its first unit; ids go on from round to round.
        units: combination -> units that ask for it.
        shares: attribute -> its weight among all, by the policy.
        standings: attribute -> how it stood, which the policy decided by.
        reviewed: of the config: whose decisions count in this round.
    """

    number: int
    first_unit: int
    units: Mapping[Cell, int]
    shares: Mapping[str, float] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    reviewed: tuple[str, ...] = ()

    @property
    def num_units(self) -> int:
        """How many there are."""
        return sum(self.units.values())

    def to_json(self) -> bytes:
        """Return the record as it lies in the store."""
        record = {
            "number": self.number,
            "first_unit": self.first_unit,
            "units": [[list(cell), n] for cell, n in self.units.items()],
            "shares": dict(self.shares),
            "standings": {
                name: [s.error, s.num_real, s.num_kept, s.num_candidates]
                for name, s in self.standings.items()
            },
            "reviewed": list(self.reviewed),
        }
        return json.dumps(record, indent=0).encode()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> PlannedRound:
        """Return the round whose record this is."""
        return cls(
            record["number"],
            record["first_unit"],
            {tuple(cell): n for cell, n in record["units"]},
            record["shares"],
            {name: Standing(*found) for name, found in record["standings"].items()},
            tuple(record["reviewed"]),
        )


def plan_round(
    config: ImproveConfig,
    task: TaskData,
    measure: Measure,
    spent: Sequence[Spent],
    *,
    before: PlannedRound | None,
) -> PlannedRound:
    """Return the round after the one that was measured last.

    Args:
        config: the loop's.
        task: with its seed examples, reviewed ones included.
        measure: of the round before.
        spent: of all rounds before.
        before: the round before; None for the first.

    Raises:
        ConstraintError: nothing can be asked for.
    """
    run = config.run_config()
    weights = _cells(run, task)
    situation = make_situation(task, weights, measure, spent)
    shares = _shares(config, situation)
    number = measure.number + 1
    rng = unit_rng("improve", run.seed, number)
    return PlannedRound(
        number=number,
        first_unit=before.first_unit + before.num_units if before else 0,
        units=draw_units(tilted(weights, shares), config.units_per_round, rng),
        shares=shares,
        standings=situation.attributes,
        reviewed=tuple(run.task.reviewed),
    )


def tilted(weights: Mapping[Cell, float], shares: Mapping[str, float]) -> dict[Cell, float]:
    """Return the combinations' weights, times the mean of what a policy gives their attributes.

    An attribute's share is not forced: that would leave few combinations, those that
    meet all shares at once, and students learn more from many.
    """
    found = {}
    for cell, weight in weights.items():
        of_cell = [shares[name] for name in cell if name in shares]
        if of_cell:
            found[cell] = weight * sum(of_cell) / len(of_cell)
    return found


def draw_units(
    weights: Mapping[Cell, float], num_units: int, rng: np.random.Generator
) -> dict[Cell, int]:
    """Return so many units over combinations, each within one of what its weight comes to.

    A systematic draw: of a thousand combinations with equal weights, ninety units go to ninety.
    """
    cells = [cell for cell in sorted(weights) if weights[cell] > 0]
    cells = [cells[place] for place in rng.permutation(len(cells)).tolist()]
    ends = np.cumsum([weights[cell] for cell in cells])
    marks = (np.arange(num_units) + rng.random()) * ends[-1] / num_units
    places = np.minimum(np.searchsorted(ends, marks, side="right"), len(cells) - 1)
    counts = np.bincount(places, minlength=len(cells)).tolist()
    return dict(sorted((cell, n) for cell, n in zip(cells, counts, strict=True) if n))


def make_situation(
    task: TaskData, weights: Mapping[Cell, float], measure: Measure, spent: Sequence[Spent]
) -> Situation:
    """Return how every attribute stands that can be asked for and that students answer."""
    answered = {*task.tags} if task.kind == "tagging" else {a.name for a in task.ontology.all}
    if task.kind in ("multilabel", "single_label"):
        answered = {attribute.name for attribute in task.ontology.attributes}
    real = Counter(name for seed in task.seeds for name in carried(seed))
    made: dict[str, Made] = {}
    total = Made()
    for one in spent:
        total.add(one.total)
        for name, of in one.attributes.items():
            made.setdefault(name, Made()).add(of)
    names = sorted({name for cell in weights for name in cell if name in answered})
    standings = {}
    for name in names:
        counts, of = measure.attributes.get(name, Counts()), made.get(name, Made())
        error = counts.error(measure.overall_error)
        standings[name] = Standing(error, real[name], of.kept, of.candidates)
    rate = total.kept / total.candidates if total.candidates else None
    return Situation(standings, rate)


def round_config(config: ImproveConfig, planned: PlannedRound) -> RunConfig:
    """Return the config of a round's run.

    Its balance over combinations gives each exactly its units: the numbers asked
    for are multiples of what a unit keeps.
    """
    base = config.run_config()
    per_unit = base.denoise.num_kept_per_unit
    where = config.output_uri.rstrip("/")
    run = config.run_config(
        output_uri=f"{where}/{round_key(planned.number)}",
        parent=f"{where}/{round_key(planned.number - 1)}" if planned.number > 1 else None,
        generate={
            "num_synthetic": planned.num_units * per_unit,
            "balance": {"+".join(c): n / planned.num_units for c, n in planned.units.items()},
            "balance_over": "combinations",
            "max_rounds": 1,
            "first_unit": planned.first_unit,
        },
    )
    task = run.task.model_copy(update={"reviewed": list(planned.reviewed)})
    return run.model_copy(update={"task": task})


def _cells(run: RunConfig, task: TaskData) -> dict[Cell, float]:
    weights = cell_weights(run, task, all_drawn=True)
    if find_method(run).rewrites:
        seen = {carried(example) for example in task.seeds}
        weights = {cell: weight for cell, weight in weights.items() if cell in seen}
    if not weights:
        raise ConstraintError(
            f"generate.combinations is {run.generate.combinations}, but there are none for this "
            "task; use both or seen."
        )
    return weights


def _shares(config: ImproveConfig, situation: Situation) -> dict[str, float]:
    """Return the policy's shares, with a part that is explored whatever it says."""
    weights = POLICIES[config.policy](situation)
    whole, even = sum(weights.values()), 1 / len(weights)
    explored = config.share_explored if whole > 0 else 1.0
    shares = {
        name: (1 - explored) * (weight / whole if whole else 0.0) + explored * even
        for name, weight in weights.items()
    }
    return {name: share for name, share in shares.items() if share > 0}
