"""The tuning stage: checks first, then Ray Train workers, then the best prompts into the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from msp.config import RunConfig
from msp.distributed.tune_job import TuneJob, tune_worker, tuning_model
from msp.distributed.tune_state import (
    PROGRESS_KEY,
    TuneState,
    best_key,
    drop_state,
    load_state,
    tuning_metrics,
)
from msp.distributed.worker_group import GroupSize, run_workers
from msp.errors import ConfigError, MSPError, StorageError, TaskDataError
from msp.models.lm_files import LMFiles, find_lm
from msp.prompts.checkpoint import (
    contextual_of,
    describe_prompts,
    prompts_are_saved,
    prompts_from_bytes,
    read_meta,
    save_prompts,
)
from msp.prompts.encode import ExampleEncoder
from msp.prompts.question_text import with_lines
from msp.prompts.soft import SoftPrompts
from msp.storage.damage import check_prompts
from msp.storage.seal import check_seal
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData

PROGRESS_INTERVAL_SECONDS = 1.0


def tune_prompts(
    config: RunConfig,
    task: TaskData,
    store: ObjectStore,
    *,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Leave the best prompts in the store and return the tuning's figures.

    A finished stage is not repeated, and an unfinished one goes on after its
    last epoch. Ray must be initialised, unless ``tune.num_epochs`` is 0 or
    nothing is left to do.

    Args:
        config: the run's.
        task: seed examples to learn from, dev examples to choose by.
        store: the run's; everything that a resume needs is in it.
        on_progress: called with each new content of ``state/progress/tune.json``.

    Raises:
        UserError: config, model and task do not fit together; nothing was started.
        MSPError: the workers failed more often than ``tune.max_failures``, or
            tuning diverged from the start.
    """
    if prompts_are_saved(store):
        check_prompts(store)
        tuning: dict[str, Any] = read_meta(store)["tuning"]
        return tuning
    task = with_lines(task)
    files = find_lm(tuning_model(config))
    _check_fit(config, task, files)
    state = load_state(store)
    if config.tune.num_epochs and not state.stop:
        with progress_followed(store, on_progress):
            _run_workers(TuneJob(config, task, store))
        state = load_state(store)
    soft = _best_prompts(config, task, store, state, files=files)
    if not config.tune.instruction:
        soft.fix_instruction()
    num_parameters = sum(p.numel() for p in soft.parameters() if p.requires_grad)
    metrics = tuning_metrics(state, config.tune, num_parameters=num_parameters)
    save_prompts(store, soft, describe_prompts(config, files, task.ontology, metrics))
    drop_state(store)
    return metrics


def _check_fit(config: RunConfig, task: TaskData, files: LMFiles) -> None:
    """Refuse what a worker would stumble over, before any worker is started."""
    bare = config.prompts.model_copy(update={"num_exemplars": 0})
    encoder = ExampleEncoder(files, bare, task.ontology, (), config.seed)
    if not encoder.encode(task.labelled, epoch=0):
        raise TaskDataError(
            f"none of the {len(task.labelled)} seed examples carries an attribute or a slot value, "
            "so there is nothing to tune prompts on."
        )
    encoder.encode(task.dev, epoch=0)
    prompts = config.prompts
    weighs = prompts.has_contextual and prompts.contextual_form == "mixture"
    if weighs and prompts.contextual_bases > len(task.labelled):
        raise ConfigError(
            f"prompts.contextual_bases is {prompts.contextual_bases}, but there are "
            f"{len(task.labelled)} seed examples to learn from; use fewer bases than examples."
        )


def _run_workers(job: TuneJob) -> None:
    tune = job.config.tune
    size = GroupSize(
        tune.num_workers,
        tune.cpus_per_worker,
        tune.gpus_per_worker,
        tune.max_failures,
        labels=job.config.cluster.tuner_labels,
    )
    try:
        run_workers(tune_worker, {"job": job}, name="tune", size=size)
    except TrainingFailedError as error:
        raise _worker_error(error, tune.max_failures) from error


def _worker_error(error: TrainingFailedError, max_failures: int) -> MSPError:
    """Return our own error of a worker as it is, and say of any other what can be done."""
    failures = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    for failure in failures.values():
        cause = getattr(failure, "_base_exc", failure)
        if isinstance(cause, MSPError):
            return cause
    lines = [line for failure in failures.values() for line in str(failure).strip().splitlines()]
    found = (lines or str(error).strip().splitlines() or [type(error).__name__])[-1]
    return MSPError(
        f"tune: the workers failed more than tune.max_failures ({max_failures}) times; the last "
        f"failure: {found}. Finished epochs are kept: the same command goes on after them."
    )


def _best_prompts(
    config: RunConfig, task: TaskData, store: ObjectStore, state: TuneState, *, files: LMFiles
) -> SoftPrompts:
    if not config.tune.num_epochs:
        # Here alone the driver needs the LM itself.
        from msp.models.frozen_lm import load_frozen_lm
        from msp.prompts.initialisers import initial_prompts

        lm = load_frozen_lm(tuning_model(config))
        return initial_prompts(
            lm, task.ontology, config.prompts, seed=config.seed, examples=task.seeds
        )
    if not state.best_epoch:
        drop_state(store)
        raise MSPError(
            f"tune: the loss is no number after epoch {state.epoch} ({state.step} steps); lower "
            f"tune.learning_rate ({config.tune.learning_rate}) or raise tune.warmup_fraction "
            f"({config.tune.warmup_fraction})."
        )
    key = best_key(state.best_epoch)
    payload = store.read(key)
    check_seal(payload, f"{store.uri}/{key}")
    prompts = config.prompts
    contextual = contextual_of(prompts, files)
    return prompts_from_bytes(payload, prompts.mixture, contextual, where=f"{store.uri}/{key}")


@contextmanager
def progress_followed(
    store: ObjectStore, on_progress: Callable[[dict[str, Any]], None] | None
) -> Iterator[None]:
    """Call ``on_progress`` with each new progress while the block runs, and once after it."""
    if on_progress is None:
        yield
        return
    done = threading.Event()
    follower = threading.Thread(target=_follow, args=(store, on_progress, done), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _follow(
    store: ObjectStore, on_progress: Callable[[dict[str, Any]], None], done: threading.Event
) -> None:
    seen = b""
    is_last = False
    while not is_last:
        is_last = done.wait(PROGRESS_INTERVAL_SECONDS)
        found = _read_progress(store)
        if found and found != seen:
            seen = found
            on_progress(json.loads(found))


def _read_progress(store: ObjectStore) -> bytes:
    """Return the progress object; a store that fails just now must not end a tuning."""
    try:
        return store.read(PROGRESS_KEY) if store.exists(PROGRESS_KEY) else b""
    except StorageError:
        return b""
