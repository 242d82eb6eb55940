"""The synthetic set's quality, measured on a node that has what the models need."""

from __future__ import annotations

from typing import Any

import ray

from msp.config import RunConfig
from msp.distributed import placement
from msp.storage.store import open_run_store
from msp.tasks.base import TaskData


def measure_run_quality(config: RunConfig, task: TaskData) -> dict[str, Any]:
    """Return the figures of :func:`msp.measuring.measure_quality`, measured in one Ray task.

    It asks for a generator's resources where a perplexity model is named, since
    that may be as large as the frozen LM, or the frozen LM itself is scored, and for a
    scorer's otherwise.
    """
    cluster = config.cluster
    large = config.metrics.perplexity_model is not None or config.metrics.teacher
    cpus, gpus = (
        (cluster.cpus_per_generator, cluster.gpus_per_generator)
        if large
        else (cluster.cpus_per_scorer, cluster.gpus_per_scorer)
    )
    placement.connect(cluster)
    with placement.ours_out_of_rays():
        figures: dict[str, Any] = ray.get(
            ray.remote(_measure).options(num_cpus=cpus, num_gpus=gpus).remote(config, task)
        )
    return figures


def _measure(config: RunConfig, task: TaskData) -> dict[str, Any]:
    import torch

    from msp.measuring import measure_quality

    torch.set_num_threads(max(1, int(config.cluster.cpus_per_scorer)))
    return measure_quality(config, task, open_run_store(config))
