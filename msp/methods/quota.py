"""MSP's plan for exactly N: units for attribute combinations, each as often as its round says."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from functools import cache
from itertools import accumulate

from msp.config import RunConfig
from msp.errors import ConstraintError
from msp.methods.balance import Cell, targets
from msp.methods.base import unit_rng
from msp.methods.combinations import carried, novel_weights, unseen_attributes
from msp.methods.msp import UnitMaker, sources
from msp.methods.promptmix import MixMaker
from msp.methods.rounds import RoundPlan
from msp.records import Example, Unit
from msp.tasks.base import TaskData


class QuotaPlan:
    """The units of one round, its combinations well mixed so that every shard is like another.

    Args:
        config: the run's config.
        task: the task's seed examples and ontology.
        plan: the round's record.
        rewrites: the units are seed examples' own texts, to be made over.
        maker: of a method whose units are made in another way than MSP's.

    Raises:
        ConstraintError: the record asks for what the seed examples cannot give.
    """

    def __init__(
        self,
        config: RunConfig,
        task: TaskData,
        plan: RoundPlan,
        *,
        rewrites: bool = False,
        maker: MixMaker | None = None,
    ) -> None:
        assert plan.units is not None
        self.round, self.first_unit = plan.number, plan.first_unit
        self._seed = config.seed
        self._novel = UnitMaker(config, task, rewrites=rewrites)
        self._maker = maker or self._novel
        self._cells = list(plan.units)
        self._ends = list(accumulate(plan.units.values()))
        self.num_units = self._ends[-1] if self._ends else 0
        self._stride = _coprime_stride(self.num_units)
        self._seeds = sources(config, task)
        self._unseen = unseen_attributes(config, task)
        self._pairs = cache(self._find_pairs)
        self._seen: dict[Cell, list[Example]] = {}
        for example in self._seeds:
            self._seen.setdefault(carried(example), []).append(example)

    def unit(self, index: int) -> Unit:
        """Return the round's unit ``index``; see :class:`msp.methods.base.Plan`."""
        unit_id = self.first_unit + index
        place = index * self._stride % self.num_units
        cell = self._cells[bisect_right(self._ends, place)]
        if cell in self._seen:
            # In turn over the seed examples of the combination, and on from round to round.
            turn = unit_id if self.first_unit else place
            carriers = self._seen[cell]
            turn, place = divmod(turn, len(carriers))
            return self._maker.seen(carriers[place], unit_id, round=self.round, turn=turn)
        pairs = self._pairs(cell)
        pair = pairs[int(unit_rng("pair", self._seed, unit_id).integers(len(pairs)))]
        return self._novel.novel(frozenset(cell), pair, unit_id, round=self.round)

    def _find_pairs(self, cell: Cell) -> list[tuple[Example, Example]]:
        """Return (other, source) such that the two together carry the combination's labels."""
        labels = frozenset(cell)
        unseen = {name for example in self._unseen for name in example.attributes}
        pairs = [
            (other, source)
            for source in self._seeds
            # A label that no seed example carries may stand alone beside any of them.
            if (own := labels & {*source.attributes}) or (source.attributes and labels <= unseen)
            for other in (*self._seeds, *self._unseen)
            if other is not source and labels - own <= {*other.attributes} and other.attributes
        ]
        if not pairs:
            raise ConstraintError(
                f"the combination {'+'.join(cell)} needs labels that no two seed examples carry; "
                "the round's record under state/rounds/ belongs to other seed examples."
            )
        return pairs


def quota_targets(config: RunConfig, task: TaskData, *, rewrites: bool = False) -> dict[Cell, int]:
    """Return the combinations that the run asks for -> how many examples of each; they sum to N.

    Args:
        config: the run's config, with ``generate.num_synthetic``.
        task: the task's seed examples and ontology.
        rewrites: ask for what seed examples carry alone, whatever ``generate.combinations`` says.

    Raises:
        ConfigError: ``generate.balance`` names what cannot be asked for.
        ConstraintError: nothing can be asked for.
    """
    balance = config.generate.balance
    named = isinstance(balance, dict) and config.generate.balance_over == "combinations"
    weights = cell_weights(config, task, all_drawn=named)
    if rewrites:
        weights = _scaled(Counter(carried(example) for example in sources(config, task)), 1.0)
    if not weights:
        raise ConstraintError(
            f"generate.combinations is {config.generate.combinations}, but there are none for this "
            "task; use both or seen."
        )
    counts = Counter(name for seed in task.seeds for name in carried(seed))
    return targets(config.generate, weights, counts)


def cell_weights(
    config: RunConfig, task: TaskData, *, all_drawn: bool = False
) -> dict[Cell, float]:
    """Return each combination that can be asked for -> its weight.

    Seen and new ones share as their units would.

    Args:
        config: the run's config.
        task: the task's seed examples and ontology.
        all_drawn: with rare new ones, too; see :func:`msp.methods.combinations.novel_weights`.
    """
    generate, seeds = config.generate, sources(config, task)
    seen: Counter[Cell] = Counter(carried(example) for example in seeds)
    asked = frozenset(generate.attributes or ())
    # Labels of two trees make no tree.
    drawn = (
        {}
        if task.kind == "parse"
        else novel_weights(
            generate,
            seeds,
            config.seed,
            unseen=unseen_attributes(config, task),
            all_drawn=all_drawn,
        )
    )
    novel = {
        task.ontology.order(labels): weight
        for labels, weight in drawn.items()
        if not asked or labels & asked
    }
    weights = {}
    for name, cells, share in (
        ("seen", seen, generate.units_per_seed_example),
        ("novel", novel, generate.novel_units_per_seed_example),
    ):
        if generate.combinations in (name, "both") and share:
            weights.update(_scaled(cells, float(share)))
    return weights


def _scaled(cells: Counter[Cell] | dict[Cell, float], total: float) -> dict[Cell, float]:
    whole = sum(cells.values())
    return {cell: weight / whole * total for cell, weight in cells.items()}


def _coprime_stride(size: int) -> int:
    """Return a stride near the golden section of ``size`` that visits every place once."""
    stride = max(1, round(size * 0.6180339887))
    while math.gcd(stride, max(size, 1)) != 1:
        stride += 1
    return stride
