"""The cells as a table: arms as lines, tasks (or groups of them) as columns, and how sure.

A pair is one task and one run seed; a cell's student trainings are averaged
first, since they share all data and so are no pairs of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from msp.compare.grid import Grid
from msp.compare.results import LABEL_TEXTS, SEED_ONLY, CellResult
from msp.compare.statistics import Paired, compare_paired
from msp.report.scores import title

OVERALL = "all tasks"

Unit = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One arm in one column.

    Args:
        mean: of its cells; over all columns, the mean of the columns' means.
        std: between its cells (n - 1); None for one cell, and over all columns.
        num_cells: that are done.
        num_planned: of the grid.
        num_failed: of them.
        gains: over seed-only, one a pair.
        over_seed_only: the same, tested.
        over_label_texts: over the student of seed examples and labels' own words, tested.
        over_reference: over the reference arm, tested; None for that arm itself, or without one.
        over_ablated: over the arm that ablations change; None for that arm itself.
    """

    mean: float | None
    std: float | None
    num_cells: int
    num_planned: int
    num_failed: int
    gains: tuple[float, ...]
    over_seed_only: Paired | None
    over_label_texts: Paired | None
    over_reference: Paired | None
    over_ablated: Paired | None

    @property
    def is_whole(self) -> bool:
        """Whether every planned cell is done."""
        return self.num_cells == self.num_planned


@dataclass(frozen=True, slots=True)
class Win:
    """Which arm has the highest score in a column.

    Args:
        arm: its name; seed only where no arm is above it.
        runner_up: the next of the methods; None where there is no other.
        margin: of the winner over the runner-up, tested.
    """

    arm: str
    runner_up: str | None
    margin: Paired | None


@dataclass(frozen=True, slots=True)
class Column:
    """One task, or group of tasks, with every arm.

    Args:
        name: of the task or group.
        tasks: in it.
        metric: its title; empty before any cell is done, and over several columns.
        is_overall: whether it is several columns together.
        seed_only: the student without synthetic examples: mean and deviation over cells.
        seed_only_of: (task, run seed) -> its score there.
        label_texts: the student of seed examples and labels' own words, likewise; None where
            there is none.
        entries: arm -> entry, in the order of the grid.
        win: who wins; None before any cell is done.
    """

    name: str
    tasks: tuple[str, ...]
    metric: str
    is_overall: bool
    seed_only: tuple[float, float | None] | None
    seed_only_of: Mapping[Unit, float]
    label_texts: tuple[float, float | None] | None
    entries: Mapping[str, Entry]
    win: Win | None


@dataclass(frozen=True, slots=True)
class Table:
    """One metric of every task: its first, or the one at a later position of its headline."""

    columns: tuple[Column, ...]
    overall: Column | None

    @property
    def shown(self) -> tuple[Column, ...]:
        """All columns, the overall one last."""
        return (*self.columns, self.overall) if self.overall else self.columns

    @property
    def summary(self) -> Column | None:
        """The column that speaks for the comparison: the overall one, or the only one scored."""
        return self.overall or next((column for column in self.columns if column.win), None)


@dataclass(frozen=True, slots=True)
class OtherStudents:
    """A table of students that learned from the same texts in another way.

    Args:
        title: what they are.
        note: what they learned.
        table: their first metric.
        arms: names of the arms that have such a student.
    """

    title: str
    note: str
    table: Table
    arms: tuple[str, ...]


def make_tables(grid: Grid, results: Sequence[CellResult]) -> list[Table]:
    """Return a table for the metric that tasks are judged by, and one for each further one."""
    depth = max((1, *(len(result.headline) for result in results)))
    return [_Scores(grid, results, position).table() for position in range(depth)]


def make_other_tables(grid: Grid, results: Sequence[CellResult]) -> list[OtherStudents]:
    """Return the first table of every further kind of student that runs trained."""
    plain = [replace(r, augmented=r.synthetic, label_texts={}) for r in results if r.synthetic]
    asked = [replace(r, augmented=r.before_relabel) for r in results if r.before_relabel]
    found = (
        (
            "Without the labels' own words",
            "The same synthetic examples and seed examples alone, which is how methods are "
            "compared in the literature.",
            plain,
        ),
        (
            "Before relabelling",
            "The same texts with the labels that they were asked for; above, with those that "
            "the frozen LM gave them afterwards.",
            asked,
        ),
    )
    return [
        OtherStudents(
            title, note, _Scores(grid, own, 0).table(), tuple(dict.fromkeys(r.arm for r in own))
        )
        for title, note, own in found
        if own
    ]


class _Scores:
    """One metric of all cells, and what it comes to."""

    def __init__(self, grid: Grid, results: Sequence[CellResult], position: int) -> None:
        self._grid, self._results, self._position = grid, results, position
        self._augmented: dict[str, dict[Unit, float]] = {arm.name: {} for arm in grid.arms}
        self._seed_only: dict[str, dict[Unit, float]] = {arm.name: {} for arm in grid.arms}
        self._label_texts: dict[str, dict[Unit, float]] = {arm.name: {} for arm in grid.arms}
        self._metric: dict[str, str] = {}
        for result in results:
            if len(result.headline) > position:
                self._add(result, result.headline[position])

    def _add(self, result: CellResult, name: str) -> None:
        unit = (result.task, result.seed)
        self._metric.setdefault(result.task, title(name))
        for scores, found in (
            (self._augmented, result.augmented),
            (self._seed_only, result.seed_only),
            (self._label_texts, result.label_texts),
        ):
            mean = found[name].mean if name in found else None
            if mean is not None:
                scores[result.arm][unit] = mean

    def table(self) -> Table:
        """Return the columns, and what they come to together where there are several."""
        named = self._grid.config.columns
        columns = tuple(self._column(name, [tasks]) for name, tasks in named.items())
        scored = [column for column in columns if column.metric]
        if self._position:  # a further metric, which not every task has
            columns = tuple(scored)
        if len(scored) < 2:
            return Table(columns, None)
        name = OVERALL if len(scored) == len(named) else f"{len(scored)} of {len(named)} tasks"
        return Table(columns, self._column(name, [list(column.tasks) for column in scored]))

    def _column(self, name: str, strata: Sequence[Sequence[str]]) -> Column:
        """Return the column of some tasks; strata weigh the same, and so do a stratum's cells."""
        tasks = tuple(task for stratum in strata for task in stratum)
        entries = {arm.name: self._entry(arm.name, strata) for arm in self._grid.arms}
        metrics = {self._metric[task] for task in tasks if task in self._metric}
        return Column(
            name,
            tasks,
            " / ".join(sorted(metrics)) if len(strata) == 1 else "",
            len(strata) > 1,
            *_baseline(self._seed_only, strata),
            _baseline(self._label_texts, strata)[0],
            entries,
            self._win(entries, strata),
        )

    def _entry(self, arm: str, strata: Sequence[Sequence[str]]) -> Entry:
        config = self._grid.config
        own = [r for r in self._results if r.arm == arm and any(r.task in s for s in strata)]
        found = [_of(self._augmented[arm], stratum) for stratum in strata]
        gains = self._differences(arm, SEED_ONLY, strata)
        return Entry(
            mean=_mean(found),
            std=_std(found[0]) if len(strata) == 1 else None,
            num_cells=sum(map(len, found)),
            num_planned=len(own),
            num_failed=sum(result.state == "failed" for result in own),
            gains=tuple(gain for stratum in gains for gain in stratum),
            over_seed_only=compare_paired(gains),
            over_label_texts=self._over(arm, LABEL_TEXTS, strata),
            over_reference=self._over(arm, config.reference, strata),
            over_ablated=self._over(arm, config.ablated, strata),
        )

    def _over(self, arm: str, other: str | None, strata: Sequence[Sequence[str]]) -> Paired | None:
        if other is None or other == arm:
            return None
        return compare_paired(self._differences(arm, other, strata))

    def _differences(
        self, arm: str, other: str, strata: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the paired differences of each stratum.

        Seed-only is each cell's own, and so is what learned labels' words: what else an arm
        changes in the student is in both.
        """
        own = {SEED_ONLY: self._seed_only, LABEL_TEXTS: self._label_texts}
        against = own[other][arm] if other in own else self._augmented[other]
        return [
            [value - against[unit] for unit, value in self._augmented[arm].items()
             if unit in against and unit[0] in stratum]
            for stratum in strata
        ]  # fmt: skip

    def _win(self, entries: Mapping[str, Entry], strata: Sequence[Sequence[str]]) -> Win | None:
        methods = [arm.name for arm in self._grid.arms if arm.ablation is None]
        means = {name: entries[name].mean for name in methods}
        ranked = sorted(
            (name for name in methods if means[name] is not None),
            # Those with cells missing come last: their mean is over other cells.
            key=lambda name: (not entries[name].is_whole, -(means[name] or 0.0)),
        )
        if not ranked:
            return None
        best, runner_up = ranked[0], ranked[1] if len(ranked) > 1 else None
        gain = entries[best].over_seed_only
        if gain is not None and gain.mean <= 0:
            return Win(SEED_ONLY, best, None)
        return Win(best, runner_up, self._over(best, runner_up, strata))


def _baseline(
    by_arm: Mapping[str, Mapping[Unit, float]], strata: Sequence[Sequence[str]]
) -> tuple[tuple[float, float | None] | None, dict[Unit, float]]:
    """Return mean and deviation, and each (task, seed)'s score; arms share such a student."""
    by_unit: dict[Unit, list[float]] = {}
    for scores in by_arm.values():
        for unit, value in scores.items():
            by_unit.setdefault(unit, []).append(value)
    means = {unit: float(np.mean(values)) for unit, values in by_unit.items()}
    found = [_of(means, stratum) for stratum in strata]
    mean = _mean(found)
    if mean is None:
        return None, means
    return (mean, _std(found[0]) if len(strata) == 1 else None), means


def _of(scores: Mapping[Unit, float], tasks: Sequence[str]) -> list[float]:
    return [value for (task, _), value in scores.items() if task in tasks]


def _mean(strata: Sequence[Sequence[float]]) -> float | None:
    """Return the mean of the strata's means; None where one has nothing."""
    if not all(strata):
        return None
    return float(np.mean([np.mean(values) for values in strata]))


def _std(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
