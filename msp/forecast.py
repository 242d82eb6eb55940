"""What a run will take, from what a small part of it took: arithmetic alone, no model, no Ray.

Every stage is what it takes at all (to start workers and load models) and what
each of its pieces takes; the first is measured once and stays, the second grows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msp.config import RunConfig
from msp.storage.node_hours import dollars

# Processor seconds to move, count, compare and publish one unit (tests/bench/bench_scale.py, AMD
# EPYC): too little to show in a few units, and most of what is left of a run of millions.
_CPU_SECONDS_PER_UNIT = 0.0014


@dataclass(frozen=True)
class Part:
    """A stage's time: ``fixed_seconds`` once, and ``seconds_each`` for every piece."""

    fixed_seconds: float
    seconds_each: float

    def seconds(self, num_pieces: float) -> float:
        """Return how long a stage of so many pieces takes."""
        return max(0.0, self.fixed_seconds) + self.seconds_each * num_pieces


@dataclass(frozen=True)
class Measured:
    """What the small part took.

    Args:
        start_seconds: of the command, until its first stage begins.
        tune: a piece is an epoch over all examples; None where nothing is tuned.
        generate_fixed_seconds: until the first generator writes, and after the last.
        generator_seconds: of one generator for one unit.
        judge_seconds: of one scorer for one unit.
        tokens_per_unit: generated.
        kept_per_unit: candidates kept, near-duplicates out.
        publish_seconds: to find duplicates and to publish, few as the units were.
        train: a piece is a round of trainings side by side.
        evaluate: a piece is a measured text.
        num_arms: that are trained: which ones a run has depends on its task, too.
        num_cpus: of the cluster; trainings of heads take one each.
    """

    start_seconds: float
    tune: Part | None
    generate_fixed_seconds: float
    generator_seconds: float
    judge_seconds: float
    tokens_per_unit: float
    kept_per_unit: float
    publish_seconds: float
    train: Part
    evaluate: Part
    num_arms: int
    num_cpus: float


@dataclass(frozen=True)
class Forecast:
    """What the whole run is expected to take.

    Args:
        num_units: over all rounds.
        num_tokens: generated.
        num_kept: synthetic examples.
        stages: stage -> wall seconds, in the order of a run.
        tune_slack_seconds: shorter or longer, as patience ends tuning early or never.
    """

    num_units: int
    num_tokens: int
    num_kept: int
    stages: dict[str, float]
    tune_slack_seconds: float = 0.0

    @property
    def wall_seconds(self) -> float:
        """From the command's start to its end."""
        return sum(self.stages.values())


def forecast(config: RunConfig, measured: Measured, *, num_planned: int) -> Forecast:
    """Return what the run takes if every generator and scorer is as fast as the measured one.

    Where patience may end tuning, it is taken to end half way between the first and the last
    epoch that it can; ``tune_slack_seconds`` says how much either way that leaves open.

    Args:
        config: the whole run's.
        measured: on the same kind of machine.
        num_planned: units of the first round.
    """
    cluster, wanted = config.cluster, config.generate.num_synthetic
    num_units = num_planned
    if wanted is not None and measured.kept_per_unit:
        num_units = max(num_planned, math.ceil(wanted / measured.kept_per_unit))
    num_kept = round(num_units * measured.kept_per_unit)
    num_kept = min(num_kept, wanted) if wanted is not None else num_kept
    # Both work at the same time, so the slower of the two sets the pace.
    pace = max(
        measured.generator_seconds / cluster.max_generators,
        measured.judge_seconds / cluster.num_scorers,
    )
    counting = num_units * _CPU_SECONDS_PER_UNIT / max(1.0, measured.num_cpus)
    earliest = min(config.tune.num_epochs, config.tune.patience + 1)
    epochs = (earliest + config.tune.num_epochs) / 2
    slack = measured.tune.seconds_each * (epochs - earliest) if measured.tune else 0.0
    num_measured = min(config.metrics.max_texts, num_kept)
    stages = {
        "start": measured.start_seconds,
        "tune": measured.tune.seconds(epochs) if measured.tune else 0.0,
        "generate": measured.generate_fixed_seconds + num_units * pace,
        "publish": measured.publish_seconds + counting,
        "train": measured.train.seconds(num_waves(config, measured.num_arms, measured.num_cpus)),
        "evaluate": measured.evaluate.seconds(num_measured),
    }
    tokens = round(num_units * measured.tokens_per_unit)
    return Forecast(num_units, tokens, num_kept, stages, tune_slack_seconds=slack)


def num_waves(config: RunConfig, num_arms: int, num_cpus: float) -> int:
    """Return how many trainings come one after the other, all arms and all seeds."""
    parts = 10 if config.student.curve else 1
    trainings = (num_arms * parts + len(config.student.sizes)) * config.student.num_seeds
    at_once = max(1, int(num_cpus)) if config.student.kind == "head" else 1
    return math.ceil(trainings / at_once)


def node_hours(
    config: RunConfig, found: Forecast, machine: Mapping[str, float]
) -> dict[str, float]:
    """Return the hours of heads, GPUs and CPUs that are paid for.

    Args:
        config: the run's; a stage pays for what it asks for, since nodes come and go with it.
        found: the run's time.
        machine: what a run without a cluster has at all times, by kind; empty on a cluster.
    """
    wall = found.wall_seconds / 3600
    if machine:
        return {kind: round(number * wall, 4) for kind, number in machine.items()}
    asked = _asked(config)
    hours = {
        kind: sum(asked[stage][kind] * found.stages[stage] / 3600 for stage in asked)
        for kind in ("gpu", "cpu")
    }
    return {"head": round(wall, 4), **{kind: round(number, 4) for kind, number in hours.items()}}


def _asked(config: RunConfig) -> dict[str, dict[str, float]]:
    """Return stage -> what its workers hold; the CPUs of a worker with a GPU are the GPU node's."""
    cluster, tune, student = config.cluster, config.tune, config.student
    groups: dict[str, list[tuple[int, float, float]]] = {
        "tune": [(tune.num_workers, tune.cpus_per_worker, tune.gpus_per_worker)],
        "generate": [
            (cluster.max_generators, cluster.cpus_per_generator, cluster.gpus_per_generator),
            (cluster.num_scorers, cluster.cpus_per_scorer, cluster.gpus_per_scorer),
        ],
        "train": [(student.num_workers, 1, student.gpus_per_worker)],
    }
    return {
        stage: {
            "gpu": sum(number * gpus for number, _, gpus in workers),
            "cpu": sum(number * cpus for number, cpus, gpus in workers if not gpus),
        }
        for stage, workers in groups.items()
    }


def summary(config: RunConfig, found: Forecast, machine: Mapping[str, float]) -> dict[str, Any]:
    """Return what ``msp estimate`` says, as JSON values.

    Args:
        config: the run's; its ``cluster.dollars_per_*_hour`` are the prices.
        found: the run's time.
        machine: as for :func:`node_hours`.
    """
    hours = node_hours(config, found, machine)
    cost = dollars(config.cluster, hours)
    return {
        "num_units": found.num_units,
        "num_candidates": found.num_units * config.generate.num_candidates_per_unit,
        "num_tokens": found.num_tokens,
        "num_kept": found.num_kept,
        "wall_seconds": round(found.wall_seconds, 1),
        "tune_slack_seconds": round(found.tune_slack_seconds, 1),
        "stages": {stage: round(seconds, 1) for stage, seconds in found.stages.items()},
        "node_hours": hours,
        "dollars": None if cost is None else round(cost, 4),
    }
