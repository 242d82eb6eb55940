"""What came of each cell: its scores from its run's metrics.json, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from msp.compare.grid import Cell
from msp.errors import DamagedError
from msp.report.scores import Score, headline, rival
from msp.report.wording import number
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore

SEED_ONLY = "seed only"
LABEL_TEXTS = "label texts"


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell of the grid as it stands.

    Args:
        task: of the grid.
        arm: of the grid.
        seed: of the run.
        key: where its run is, below the comparison's output.
        state: done, failed (tried by this start of the comparison) or missing.
        error: what a failed one said last.
        headline: names of the metrics that its task is judged by, the first above all.
        seed_only: metric -> over the student's trainings.
        label_texts: likewise, of seed examples and the labels' own words; empty where not trained.
        augmented: likewise; or, of a method that generates nothing, of the LM that answers itself.
        notes: what its run says of its data: a test set that overlaps the seeds, say.
        num_test: test examples.
    """

    task: str
    arm: str
    seed: int
    key: str
    state: Literal["done", "failed", "missing"]
    error: str = ""
    headline: tuple[str, ...] = ()
    seed_only: Mapping[str, Score] = field(default_factory=dict)
    label_texts: Mapping[str, Score] = field(default_factory=dict)
    augmented: Mapping[str, Score] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    num_test: int | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.task} / {self.arm} / {self.seed}"


def unfinished(cell: Cell, error: str = "") -> CellResult:
    """Return a cell that has no figures: failed where there is an error, missing otherwise."""
    state: Literal["failed", "missing"] = "failed" if error else "missing"
    return CellResult(cell.task, cell.arm, cell.seed, cell.key, state, error)


def read_result(store: ObjectStore, cell: Cell) -> CellResult:
    """Return what the store holds of a cell: done where its metrics.json is there and whole.

    Args:
        store: the comparison's.
        cell: of its grid.
    """
    key = f"{cell.key}/{layout.METRICS_JSON}"
    if not store.exists(key):
        return unfinished(cell)
    try:
        figures: dict[str, Any] = read_json(store, key)
    except DamagedError:  # its run makes it anew
        return unfinished(cell)
    return result_of(cell, figures)


def result_of(cell: Cell, figures: Mapping[str, Any]) -> CellResult:
    """Return a finished cell.

    Args:
        cell: which one.
        figures: the content of its ``metrics.json``.
    """
    student, task = figures["student"], figures["task"]
    students = {
        arm: {
            name: Score(number(found.get("mean")), number(found.get("std")))
            for name, found in student[arm].items()
            if isinstance(found, Mapping) and "mean" in found
        }
        for arm in ("seed_only", "label_texts", rival(student))
        if arm in student
    }
    return CellResult(
        cell.task,
        cell.arm,
        cell.seed,
        cell.key,
        "done",
        headline=tuple(headline(student)),
        seed_only=students["seed_only"],
        label_texts=students.get("label_texts", {}),
        augmented=students[rival(student)],
        notes=tuple(str(note) for note in task.get("notes") or ()),
        num_test=task.get("num_test"),
    )
