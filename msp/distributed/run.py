"""A run from its config to its report, stage by stage; a stage that is done is not done again.

What is done is read from the store alone, so the same command continues a run
on another machine, another cluster, or after any kill.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from msp.config import RunConfig, fingerprint, with_absolute_paths
from msp.distributed import placement
from msp.distributed.generate import generate_candidates
from msp.distributed.publish import publish, read_synthetic
from msp.distributed.train import train_students
from msp.distributed.tune import tune_prompts
from msp.methods import make_plan
from msp.methods.base import num_shards
from msp.models.lm_files import find_lm
from msp.progress import StageProgress, console
from msp.report.finish import write_dataset_card, write_figures, write_report
from msp.storage import layout
from msp.storage.manifest import read_manifest
from msp.storage.run_record import open_run
from msp.storage.store import ObjectStore, check_store, open_store
from msp.tasks import load_task
from msp.tasks.base import TaskData

_PACKAGES = ("msp", "ray", "torch", "transformers", "deepspeed", "datasets", "pyarrow")


@dataclass(frozen=True)
class Run:
    """An opened run: its config with absolute paths, its task, its store and its identity."""

    config: RunConfig
    task: TaskData
    store: ObjectStore
    identity: dict[str, str]

    @property
    def num_shards(self) -> int:
        """How many shards the plan has."""
        num_units = make_plan(self.config, self.task).num_units
        return num_shards(num_units, self.config.generate.units_per_shard)


def open_checked(config: RunConfig) -> Run:
    """Return the run, having checked all that can be checked before work starts.

    Raises:
        UserError: something that the user has to mend; nothing was written.
    """
    config = with_absolute_paths(config)
    task = load_task(config.task, seed=config.seed)
    make_plan(config, task)
    content = {"task.path": task.content_hash, "task.ontology": task.content_hash}
    if config.generate.engine != "scripted":
        content["model.name"] = find_lm(config.model).content_hash
    store = open_store(config.output_uri, endpoint_url=config.cluster.s3_endpoint_url)
    check_store(store)
    run = Run(config, task, store, fingerprint(config, content=content))
    if store.exists(layout.RUN_JSON):
        _record(run)
    if not store.exists(layout.METRICS_JSON):
        placement.connect(config.cluster)
        placement.check_capacity(config)
    _record(run)
    for note in task.notes:
        console().print(f"note: {note}", style="yellow", markup=False)
    return run


def _record(run: Run) -> None:
    versions = {name: version(name) for name in _PACKAGES}
    open_run(
        run.store,
        config=run.config.model_dump(mode="json"),
        fingerprint=run.identity,
        versions={"python": platform.python_version(), **versions},
    )


def tune(run: Run) -> dict[str, Any]:
    """Return the tuning metrics once the prompts are in the store."""
    if run.config.generate.engine == "scripted":
        return {}
    num_epochs = run.config.tune.num_epochs
    with placement.ours_out_of_rays(), StageProgress("tune", "epochs", num_epochs) as progress:

        def show(state: dict[str, Any]) -> None:
            figures = {name: f"{state[name]:.3f}" for name in ("dev_loss",) if state.get(name)}
            progress.update(state["epoch"], figures=figures)

        return tune_prompts(run.config, run.task, run.store, on_progress=show)


def generate(run: Run) -> dict[str, Any]:
    """Return the manifest's figures once every unit is judged and the data set is published."""
    if not run.store.exists(layout.MANIFEST):
        tune(run)
        placement.connect(run.config.cluster)
        generate_candidates(run.config, run.task, run.store)
        publish(
            run.store,
            run.num_shards,
            identity=run.identity,
            before_manifest=lambda: write_dataset_card(run.config, run.task, run.store),
        )
    manifest = read_manifest(run.store)
    return {"num_synthetic": manifest.num_rows, "files": len(manifest.files)}


def train(run: Run) -> dict[str, Any]:
    """Return the scores of both students once they are trained."""
    generate(run)
    keys = [entry.key for entry in read_manifest(run.store).files]
    with placement.ours_out_of_rays():
        return train_students(
            run.config, run.task, run.store, lambda: read_synthetic(run.store, keys)
        )


def measure(run: Run) -> dict[str, Any]:
    """Return all figures of the run once ``metrics.json`` and ``report.html`` are written."""
    if run.store.exists(layout.METRICS_JSON):
        found: dict[str, Any] = json.loads(run.store.read(layout.METRICS_JSON))
        return found
    return write_figures(run.config, run.task, run.store, tune=tune(run), student=train(run))


def report(run: Run) -> dict[str, Any]:
    """Return where ``report.html`` is, made anew from what the store holds."""
    write_report(run.config, run.task, run.store)
    return {"report": f"{run.store.uri}/{layout.REPORT_HTML}"}


def everything(run: Run) -> dict[str, Any]:
    """Return the headline of a finished run: sizes, both students' scores, and where to look."""
    figures = measure(run)
    student = figures["student"]
    return {
        "output_uri": run.store.uri,
        "report": f"{run.store.uri}/{layout.REPORT_HTML}",
        "num_candidates": figures["generate"]["num_candidates"],
        "num_synthetic": figures["generate"]["num_kept"],
        **{
            arm: {name: round(student[arm][name]["mean"], 2) for name in ("micro_f1", "macro_f1")}
            for arm in ("seed_only", "augmented")
        },
    }


STAGES: dict[str, Callable[[Run], dict[str, Any]]] = {
    "run": everything,
    "tune": tune,
    "generate": generate,
    "train": train,
    "evaluate": measure,
    "report": report,
}


def run_stage(stage: str, config: RunConfig) -> dict[str, Any]:
    """Return the stage's headline once it, and all that it needs, is done."""
    return {"stage": stage, **STAGES[stage](open_checked(config))}
