"""A run from its config to its report, stage by stage; a stage that is done is not done again.

What is done is read from the store alone, so the same command continues a run
on another machine, another cluster, or after any kill.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from msp.config import ModelConfig, RunConfig, fingerprint, with_absolute_paths
from msp.denoise.contamination import content_hash
from msp.denoise.relabel import check_relabel
from msp.lineage import parent_record, with_kept_before
from msp.methods import checkpoint_hash, content_hashes, find_method, make_plan, uses_lm
from msp.progress import console
from msp.review.gold import load_reviewed_task
from msp.storage import layout
from msp.storage.damage import mending, read_json
from msp.storage.lease import held
from msp.storage.run_record import open_run
from msp.storage.stage_times import add_stage_seconds, process_seconds
from msp.storage.store import ObjectStore, check_store, open_run_store
from msp.tasks.base import TaskData

_PACKAGES = ("msp", "ray", "torch", "transformers", "deepspeed", "datasets", "pyarrow")


@dataclass(frozen=True)
class Run:
    """An opened run: its config with absolute paths, its task, its store and its identity."""

    config: RunConfig
    task: TaskData
    store: ObjectStore
    identity: dict[str, str]


def open_checked(config: RunConfig) -> Run:
    """Return the run, having checked all that can be checked before work starts.

    Raises:
        UserError: something that the user has to mend; nothing was written.
    """
    config = with_absolute_paths(config)
    task = with_kept_before(config, load_reviewed_task(config))
    make_plan(config, task)
    check_relabel(config, task)
    run = identified(config, task)
    store = run.store
    check_store(store)
    if store.exists(layout.RUN_JSON):
        record(run)
    if not store.exists(layout.METRICS_JSON):
        _check_work(config, task)
    for note in task.notes:
        console().print(f"note: {note}", style="yellow", markup=False)
    return run


def identified(
    config: RunConfig,
    task: TaskData,
    *,
    hash_of: Callable[[ModelConfig, str], str] = checkpoint_hash,
) -> Run:
    """Return the run with what tells it from others; nothing of its store is contacted.

    Args:
        config: with absolute paths.
        task: of that config.
        hash_of: a checkpoint's; who asks for many runs remembers it.
    """
    content = {"task.path": task.content_hash, "task.ontology": task.content_hash}
    if config.task.reviewed:
        content["task.reviewed"] = task.reviewed_hash
    if (parent := parent_record(config)) is not None:
        content["parent"] = parent["manifest_sha256"]
    if config.denoise.decontaminate:
        content["denoise.decontaminate"] = content_hash(config.denoise.decontaminate)
    content |= content_hashes(config, hash_of=hash_of)
    return Run(config, task, open_run_store(config), fingerprint(config, content=content))


def _check_work(config: RunConfig, task: TaskData) -> None:
    """Pass where what is left to do can be done; its imports take seconds."""
    from msp.distributed import placement
    from msp.engines import check_engine
    from msp.judging import evaluation_texts
    from msp.models.lm_files import find_lm

    if config.denoise.decontaminate:
        evaluation_texts(config, task)  # every line can be read
    if uses_lm(config):
        check_engine(config, find_lm(config.model))
    find_method(config).check(config, task)
    placement.connect(config.cluster)
    placement.check_capacity(config)


def record(run: Run) -> None:
    """Write ``run.json``, or find there that this is the same run."""
    versions = {name: version(name) for name in _PACKAGES}
    open_run(
        run.store,
        config=run.config.model_dump(mode="json"),
        fingerprint=run.identity,
        versions={"python": platform.python_version(), **versions},
    )


def run_stage(
    stage: str, config: RunConfig, *, start_seconds: float | None = None
) -> dict[str, Any]:
    """Return the stage's headline once it, and all that it needs, is done.

    Args:
        stage: which one.
        config: the run's.
        start_seconds: what starting took; None: as long as this process is there, which is
            right where it does one run.

    Raises:
        HeldError: another run that is alive writes to the same output.
    """
    run = open_checked(config)
    with held(run.store), _watched(run, start_seconds):
        record(run)
        started = process_seconds() if start_seconds is None else start_seconds
        return {"stage": stage, **mending(run.store, lambda: _stage(stage, run, started))}


def _watched(run: Run, start_seconds: float | None) -> ExitStack:
    """Return what counts the nodes of a run that has something to do, and says what it waits for.

    It imports Ray.
    """
    watches = ExitStack()
    if not run.store.exists(layout.METRICS_JSON):
        from msp.distributed.capacity import waiting_said
        from msp.distributed.node_meter import metered

        watches.enter_context(metered(run.config, run.store, start_seconds=start_seconds))
        watches.enter_context(waiting_said())
    return watches


def _stage(stage: str, run: Run, start_seconds: float) -> dict[str, Any]:
    if run.store.exists(layout.METRICS_JSON):
        figures: dict[str, Any] = read_json(run.store, layout.METRICS_JSON)
        if stage == "run":
            return headline(run.store, figures)
        if stage == "evaluate":
            return figures
    else:
        add_stage_seconds(run.store, "start", start_seconds)
    from msp.distributed.stages import STAGES

    return STAGES[stage](run)


def headline(store: ObjectStore, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a finished run says last: sizes, the students' scores, and where to look.

    Args:
        store: the run's.
        figures: the content of ``metrics.json``.
    """
    student = figures["student"]
    return {
        "output_uri": store.uri,
        "report": f"{store.uri}/{layout.REPORT_HTML}",
        "num_candidates": figures["generate"]["num_candidates"],
        "num_synthetic": figures["generate"]["num_kept"],
        **{
            arm: {name: round(student[arm][name]["mean"], 2) for name in student["headline"][:2]}
            for arm in layout.ARMS
            if arm in student
        },
    }
