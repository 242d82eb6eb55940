"""One way to run a function on Ray Train workers: for tuning, students and pre-training."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray.train
from ray.train.torch import TorchTrainer


@dataclass(frozen=True)
class GroupSize:
    """How many workers there are, what each holds, and how often the group may fail.

    Args:
        num_workers: processes that train together.
        cpus_per_worker: CPUs that each one reserves.
        gpus_per_worker: GPUs likewise; 0 trains on CPUs.
        max_failures: deaths after which the group is started again.
        labels: of the nodes that they may run on; empty for any.
    """

    num_workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    max_failures: int
    labels: dict[str, str] = field(default_factory=dict)


def run_workers(
    worker: Callable[[dict[str, Any]], None], job: dict[str, Any], *, name: str, size: GroupSize
) -> None:
    """Return once ``worker(job)`` has returned in every process of the group.

    Ray Train's own records go to a folder that is thrown away; what a resume
    needs is in the run's store. Ray Train is driven from a thread: in the main
    thread it would leave its own handler of interrupts behind, which ends the
    process with status 0, a Ctrl-C long after training included.

    Raises:
        ray.train.v2.api.exceptions.TrainingFailedError: it failed more often than it may.
    """
    resources = {"CPU": float(size.cpus_per_worker), "GPU": float(size.gpus_per_worker)}
    with tempfile.TemporaryDirectory(prefix=f"msp-{name}-") as folder:
        trainer = TorchTrainer(
            worker,
            train_loop_config=job,
            scaling_config=ray.train.ScalingConfig(
                num_workers=size.num_workers,
                use_gpu=size.gpus_per_worker > 0,
                resources_per_worker={key: number for key, number in resources.items() if number},
                label_selector=size.labels or None,
            ),
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=folder,
                failure_config=ray.train.FailureConfig(max_failures=size.max_failures),
            ),
        )
        _in_a_thread(trainer.fit)


def _in_a_thread(action: Callable[[], object]) -> None:
    """Run it to its end or error; an interrupt is heard at once and leaves it to die with us."""
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            action()
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=run, name="msp-train", daemon=True).start()
    error = ended.get()
    if error is not None:
        raise error
