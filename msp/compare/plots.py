"""The figures behind each forest plot: one line an arm, its mean gain, interval and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msp.compare.grid import Arm
from msp.compare.statistics import Paired
from msp.compare.table import Column

Against = Literal["over_seed_only", "over_reference", "over_ablated"]


@dataclass(frozen=True, slots=True)
class Line:
    """One arm of a plot.

    Args:
        name: of the arm.
        paired: its gain, tested.
        gains: each pair's, where they are shown.
    """

    name: str
    paired: Paired
    gains: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Forest:
    """A plot whose lines share one scale, in points, that holds 0.

    Args:
        title: of the column.
        metric: of its scores.
        low: left end.
        high: right end.
        lines: from the top.
    """

    title: str
    metric: str
    low: float
    high: float
    lines: tuple[Line, ...]


def forests(columns: Sequence[Column], arms: Sequence[Arm], against: Against) -> list[Forest]:
    """Return a plot for each column that has a gain to show.

    Args:
        columns: of the table.
        arms: those to show, in this order.
        against: what the gains are over.
    """
    plots = [_forest(column, arms, against) for column in columns]
    return [plot for plot in plots if plot.lines]


def _forest(column: Column, arms: Sequence[Arm], against: Against) -> Forest:
    lines = []
    for arm in arms:
        entry = column.entries[arm.name]
        paired: Paired | None = getattr(entry, against)
        if paired is not None:
            gains = entry.gains if against == "over_seed_only" else ()
            lines.append(Line(arm.name, paired, gains))
    ends = [0.0]
    for line in lines:
        ends += [line.paired.mean, *line.gains]
        ends += [end for end in (line.paired.low, line.paired.high) if end is not None]
    return Forest(column.name, column.metric, min(ends), max(ends), tuple(lines))
