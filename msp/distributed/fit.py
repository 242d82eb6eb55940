"""The tuning stage of a method that learns a model of its own: one Ray task, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from msp.config import RunConfig
from msp.distributed import placement
from msp.distributed.tune import progress_followed
from msp.errors import MSPError
from msp.methods.fit_store import fit_is_saved, read_fit_figures
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData


def fit_model(
    config: RunConfig,
    task: TaskData,
    store: ObjectStore,
    *,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Leave what the run's method learns in the store and return the fit's figures.

    A finished fit is not repeated, and an unfinished one goes on after its last
    epoch, whether the worker died or the driver. One worker learns, with the
    resources that ``tune`` gives to each of its own. Ray must be initialised,
    unless nothing is left to do.

    Args:
        config: the run's.
        task: seed examples to learn from, dev examples to choose by.
        store: the run's; everything that a resume needs is in it.
        on_progress: called with each new content of ``state/progress/tune.json``.

    Raises:
        MSPError: the worker died more often than ``tune.max_failures``, or the
            fit diverged from the start.
    """
    if not fit_is_saved(store):
        with progress_followed(store, on_progress):
            run_in_worker(_work, config, task, store)
    return read_fit_figures(store)


def run_in_worker(work: Callable[..., None], config: RunConfig, *arguments: Any) -> None:
    """Do ``work(config, *arguments)`` where ``tune`` has its workers.

    Raises:
        MSPError: the worker died too often; an error of our own comes out as itself.
    """
    tune = config.tune
    remote = ray.remote(work).options(
        num_cpus=tune.cpus_per_worker,
        num_gpus=tune.gpus_per_worker,
        max_retries=tune.max_failures,
        label_selector=config.cluster.tuner_labels or None,
    )
    try:
        with placement.ours_out_of_rays():
            ray.get(remote.remote(config, *arguments))
    except RayError as error:
        found = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise MSPError(
            f"tune: the worker failed more than tune.max_failures ({tune.max_failures}) times, or "
            f"in a way that a retry does not mend; the last failure: {found}. Finished epochs are "
            "kept: the same command goes on after them."
        ) from error


def _work(config: RunConfig, task: TaskData, store: ObjectStore) -> None:
    # Here, since it imports torch, and the driver need not.
    from msp.distributed.fit_worker import fit_and_save

    fit_and_save(config, task, store)
