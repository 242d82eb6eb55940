"""Made-up rounds of a loop, for tests that need no run."""

from __future__ import annotations

from typing import Any

import numpy as np

from msp.improve.config import ImproveConfig
from msp.improve.measure import Measure, make_measure
from msp.improve.outcomes import Outcome
from msp.improve.spent import Made, Spent
from msp.records import Example

NAMES = ("wifi", "spa", "bill")


def loop_config(**settings: Any) -> ImproveConfig:
    base = {
        "task": {"name": "jsonl", "path": "sample:front_desk", "max_seed_examples": 40},
        "generate": {"engine": "scripted"},
        **settings.pop("base", {}),
    }
    tree = {"output_uri": "runs/x", "candidates_per_round": 100, "base": base, **settings}
    return ImproveConfig.model_validate(tree)


def made_measure(number: int, rights: list[float], *, num: int = 40, trainings: int = 2) -> Measure:
    """Return a round in which each of three attributes is right on that share of its examples."""
    examples = [Example(f"e{i}", f"text {i}", (NAMES[i % 3],)) for i in range(num)]
    rng = np.random.default_rng(number)
    outcomes: list[list[Outcome]] = []
    for _ in range(trainings):
        row: list[Outcome] = []
        for i in range(num):
            name = NAMES[i % 3]
            right = rng.random() < rights[i % 3]
            row.append({name: (1, 0, 0) if right else (0, 1, 1)})
        outcomes.append(row)
    return make_measure(number, examples, outcomes, num_synthetic=10 * number, seconds=1.0)


def made_spent(number: int, *, tokens: int = 1000, dollars: float | None = None) -> Spent:
    cells = {("wifi",): Made(60, 20, tokens), ("spa", "bill"): Made(40, 4, 0)}
    return Spent(number, cells, {"off_topic": 76}, 30.0, dollars)
