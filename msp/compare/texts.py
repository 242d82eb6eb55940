"""What the arms wrote, beside how their students score: closeness, variety, memory, growth.

SoftSRV measures a method so (arXiv 2410.16534): how near its texts are to real ones by
MAUVE, and how the student's score grows with their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from msp.compare.grid import Grid
from msp.compare.results import CellResult
from msp.report.scores import title


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a cell's texts.

    Args:
        name: in the cell's ``texts``.
        title: over its column.
        meaning: in a sentence.
        digits: that are shown.
    """

    name: str
    title: str
    meaning: str
    digits: int


FIGURES = (
    Figure("num_synthetic", "Texts", "synthetic examples", 0),
    Figure("mauve", "MAUVE", "closeness to the dev and test texts; 1: cannot be told apart", 3),
    Figure("distinct_2", "Distinct pairs", "different word pairs per pair, in equal draws", 3),
    Figure("nearest_seed", "Nearest seed", "mean cosine to the most similar seed example", 3),
    Figure("near_copies", "Near copies", "share with a cosine of 0.95 or more to one", 3),
    Figure("correctness", "Attributes found", "F1 of a classifier of dev and test examples", 1),
)


@dataclass(frozen=True, slots=True)
class TextRow:
    """What one arm wrote in one column.

    Args:
        arm: its name.
        column: the task or group.
        values: name of a figure -> mean over cells; those that no cell has are left out.
    """

    arm: str
    column: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """How one arm's student scores in one column as its synthetic set grows.

    Args:
        arm: its name.
        column: the task or group.
        seed_only: the mean score without any.
        of_size: number of synthetic examples -> mean score; a size is there where every done
            cell has it.
        whole: the mean score with all of them.
        num_whole: how many these are, in the mean.
    """

    arm: str
    column: str
    seed_only: float
    of_size: Mapping[int, float]
    whole: float
    num_whole: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Every arm's growth.

    Args:
        metric: titles of the metrics, as tasks have them.
        sizes: that some arm has, the smallest first.
        rows: by column and arm.
    """

    metric: str
    sizes: tuple[int, ...]
    rows: tuple[GrowthRow, ...]


def text_rows(grid: Grid, results: Sequence[CellResult]) -> list[TextRow]:
    """Return the figures of every arm that wrote something, by column and arm."""
    rows = []
    for column, arm, cells in _cells(grid, results):
        values = {
            figure.name: float(np.mean(found))
            for figure in FIGURES
            if (found := [cell.texts[figure.name] for cell in cells if figure.name in cell.texts])
        }
        if values:
            rows.append(TextRow(arm, column, values))
    return rows


def growth(grid: Grid, results: Sequence[CellResult]) -> Growth | None:
    """Return how students score by the number of synthetic examples; None where none was asked."""
    rows = []
    for column, arm, cells in _cells(grid, results):
        sized = [cell for cell in cells if cell.sizes]
        if sized:
            rows.append(_growth_row(column, arm, sized))
    if not rows:
        return None
    metrics = {title(result.headline[0]) for result in results if result.sizes}
    sizes = sorted({size for row in rows for size in row.of_size})
    return Growth(" / ".join(sorted(metrics)), tuple(sizes), tuple(rows))


def _growth_row(column: str, arm: str, cells: Sequence[CellResult]) -> GrowthRow:
    shared = set.intersection(*(set(cell.sizes) for cell in cells))
    wholes = [cell.texts["num_synthetic"] for cell in cells if "num_synthetic" in cell.texts]
    return GrowthRow(
        arm,
        column,
        _mean([cell.seed_only[cell.headline[0]].mean for cell in cells]),
        {size: _mean([cell.sizes[size] for cell in cells]) for size in sorted(shared)},
        _mean([cell.augmented[cell.headline[0]].mean for cell in cells]),
        _mean(wholes),
    )


def _cells(grid: Grid, results: Sequence[CellResult]) -> list[tuple[str, str, list[CellResult]]]:
    """Return each column and arm with its cells that are done."""
    done = [result for result in results if result.state == "done"]
    return [
        (column, arm.name, [r for r in done if r.arm == arm.name and r.task in tasks])
        for column, tasks in grid.config.columns.items()
        for arm in grid.arms
    ]


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
