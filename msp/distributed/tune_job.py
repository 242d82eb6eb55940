"""What the driver sends to the tuning workers, without what only they import."""

from __future__ import annotations

from dataclasses import dataclass

from msp.config import ModelConfig, RunConfig
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData


@dataclass(frozen=True)
class TuneJob:
    """What the driver sends to every worker."""

    config: RunConfig
    task: TaskData
    store: ObjectStore


def tune_worker(loop_config: dict[str, TuneJob]) -> None:
    """Tune until a stop rule holds; Ray Train runs it in every worker, with ``{"job": ...}``."""
    import ray.train
    import torch

    from msp.distributed.tune_worker import Tuner

    job = loop_config["job"]
    context = ray.train.get_context()
    torch.set_num_threads(job.config.tune.cpus_per_worker)
    Tuner(job, rank=context.get_world_rank(), num_workers=context.get_world_size()).run()


def tuning_model(config: RunConfig) -> ModelConfig:
    """Return the model of a run in the number format that it is tuned in."""
    return config.model.model_copy(update={"dtype": config.tune.precision})
