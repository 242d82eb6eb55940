"""What came of each cell: its scores from its run's metrics.json, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        synthetic: likewise, of seed and synthetic examples without these words.
        before_relabel: likewise, with the labels that were asked for, where a run relabels.
        augmented: likewise; or, of a method that generates nothing, of the LM that answers itself.
        notes: what its run says of its data: a test set that overlaps the seeds, say.
        num_test: test examples.
        texts: figures of its synthetic examples, by name; those that were not had are left out.
        sizes: number of synthetic examples (``student.sizes``) -> the first headline metric of
            the student of so many.
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
    synthetic: Mapping[str, Score] = field(default_factory=dict)
    before_relabel: Mapping[str, Score] = field(default_factory=dict)
    augmented: Mapping[str, Score] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    num_test: int | None = None
    texts: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[int, float] = field(default_factory=dict)

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
        for arm in ("seed_only", "label_texts", "synthetic", "before_relabel", rival(student))
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
        synthetic=students.get("synthetic", {}),
        before_relabel=students.get("before_relabel", {}),
        augmented=students[rival(student)],
        notes=tuple(str(note) for note in task.get("notes") or ()),
        num_test=task.get("num_test"),
        texts=_texts(figures),
        sizes=_sizes(student),
    )


# What a comparison calls a figure -> where metrics.json has it.
_TEXTS = {
    "num_synthetic": ("student", "augmented", "num_synthetic"),
    "mauve": ("quality", "mauve"),
    "distinct_2": ("diversity", "synthetic", "matched_distinct_2"),
    "nearest_seed": ("quality", "memorisation", "nearest_seed_similarity"),
    "near_copies": ("quality", "memorisation", "near_seed_share"),
    "correctness": ("quality", "correctness", "attribute_f1"),
}


def _texts(figures: Mapping[str, Any]) -> dict[str, float]:
    found = {name: number(_nested(figures, keys)) for name, keys in _TEXTS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _nested(tree: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _sizes(student: Mapping[str, Any]) -> dict[int, float]:
    name = headline(student)[0]
    found = {
        row["num_synthetic"]: number(_nested(row, (name, "mean")))
        for row in student.get("sizes") or ()
    }
    return {size: value for size, value in found.items() if value is not None}
