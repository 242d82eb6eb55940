"""A made-up comparison: five arms and some ablations on two data sets, with figures that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from msp.compare.config import CompareConfig
from msp.compare.grid import Grid, make_grid
from msp.compare.results import CellResult, result_of, unfinished

BASE = {"task": {"name": "jsonl", "path": "rows.jsonl"}, "student": {"num_seeds": 3}}
# What a method adds to a student, in points; eda's luck is larger than its gain.
GAINS = {"msp": 4.4, "hard_prompt": 2.9, "promptmix": 3.6, "in_context": 1.9, "eda": 0.2}
SEED_ONLY = {"hotels": 52.0, "banking": 61.5, "reminder": 70.2}
OVERLAP = "left out 3 of 980 test examples: their text is in the seed examples, too."


def config_of(**changes: Any) -> CompareConfig:
    """Return a small comparison's config: two tasks, two arms, two seeds."""
    found = {
        "output_uri": "runs/compare",
        "seeds": [13, 16],
        "base": BASE,
        "tasks": {"one": {}, "two": {"task.max_seed_examples": 20}},
        "arms": {"msp": {}, "hot": {"generate.temperature": 0.9}},
        **changes,
    }
    return CompareConfig.model_validate(found)


@dataclass(frozen=True)
class FakeComparison:
    """A grid, and what its cells came to."""

    grid: Grid
    results: list[CellResult]


def figures(
    before: float,
    after: float,
    *,
    spread: float = 0.6,
    notes: tuple[str, ...] = (),
    label_texts: bool = False,
    relabels: bool = False,
) -> dict[str, Any]:
    """Return a metrics.json with three trainings of each student."""

    def arm(mean: float) -> Mapping[str, Any]:
        names = {"micro_f1": mean, "macro_f1": mean - 15.0, "exact_match": mean - 19.0}
        return {name: {"mean": value, "std": spread} for name, value in names.items()}

    headline = ["micro_f1", "macro_f1", "exact_match"]
    sizes = [{"num_synthetic": n, **arm(before + (after - before) * n / 600)} for n in (100, 300)]
    student = {"headline": headline, "seed_only": arm(before), "augmented": arm(after)}
    student["augmented"] = {**student["augmented"], "num_synthetic": 600}
    if label_texts:
        student |= {"label_texts": arm(before + 2.0), "synthetic": arm(after - 1.0)}
    if relabels:
        student["before_relabel"] = arm(after - 3.0)
    return {
        "task": {"notes": list(notes), "num_test": 962},
        "student": {**student, "sizes": sizes},
        "quality": {
            "mauve": 0.35,
            "memorisation": {"nearest_seed_similarity": 0.62, "near_seed_share": 0.01},
            "correctness": {"attribute_f1": 61.5},
        },
        "diversity": {"synthetic": {"distinct_2": 0.2, "matched_distinct_2": 0.71}},
    }


def make_fake() -> FakeComparison:
    """Return two data sets of three folds, and one more; a cell failed, one is missing."""
    folds = {"hotels": 3, "banking": 3}
    tasks = {f"{name}-fold-{k}": {"task.dev_fraction": 0.2} for name, n in folds.items()
             for k in range(n)} | {"reminder": {}}  # fmt: skip
    config = config_of(
        seeds=[13, 23, 33],
        tasks=tasks,
        groups={name: [f"{name}-fold-{k}" for k in range(n)] for name, n in folds.items()},
        arms={name: {"generate.temperature": 0.6 + k / 100} for k, name in enumerate(GAINS)},
        ablations=["no_filter", "no_exemplars", "mixtures", "noise_weights"],
    )
    grid, rng = make_grid(config), np.random.default_rng(4)
    luck = {(task, seed): rng.normal(0, 1.5) for task in tasks for seed in config.seeds}
    losses = {arm.name: rng.uniform(0, 3) for arm in grid.arms if arm.ablation}
    results = []
    for cell in grid.cells:
        before = SEED_ONLY[cell.task.partition("-")[0]] + luck[(cell.task, cell.seed)]
        gain = GAINS.get(cell.arm, GAINS["msp"] - losses.get(cell.arm, 0.0))
        if cell.task == "reminder":
            gain = gain / 4 - 0.5
        after = before + gain + rng.normal(0, 1.0)
        notes = (OVERLAP,) if cell.task == "hotels-fold-1" else ()
        results.append(result_of(cell, figures(before, after, notes=notes)))
    return FakeComparison(grid, _with_holes(grid, results))


def _with_holes(grid: Grid, results: list[CellResult]) -> list[CellResult]:
    holes = {
        "banking-fold-2 / in_context / 33": "denoise dropped 998 of the last 1000 candidates "
        "(991 off_topic); lower generate.temperature or raise denoise.max_drop_rate. "
        "(exit status 1)",
        "hotels-fold-0 / noise-distance / 13": "",
    }
    cells = {cell.name: cell for cell in grid.cells}
    return [
        unfinished(cells[result.name], holes[result.name]) if result.name in holes else result
        for result in results
    ]


def without_holes(found: FakeComparison) -> FakeComparison:
    """Return the same with every cell done, like its neighbour."""
    done = next(result for result in found.results if result.state == "done")
    results = [
        result
        if result.state == "done"
        else replace(done, task=result.task, arm=result.arm, seed=result.seed, key=result.key)
        for result in found.results
    ]
    return FakeComparison(found.grid, results)
