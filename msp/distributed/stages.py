"""The stages of a run that is not finished; what they import takes seconds.

Tuning and training import torch, so each is imported where it is needed: a
resumed generation starts without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msp.distributed import placement
from msp.distributed.publish import publish, read_before_relabel, read_synthetic
from msp.distributed.quality import measure_run_quality
from msp.distributed.rounds import generate_candidates
from msp.distributed.run import Run, headline
from msp.methods import tunes_prompts
from msp.progress import StageProgress
from msp.prompts.checkpoint import prompts_are_saved
from msp.report.finish import write_dataset_card, write_figures, write_report
from msp.storage import layout
from msp.storage.manifest import read_manifest
from msp.storage.stage_times import timed


def tune(run: Run) -> dict[str, Any]:
    """Return the tuning metrics once the prompts are in the store."""
    if not tunes_prompts(run.config):
        return {}
    from msp.distributed.tune import tune_prompts

    if prompts_are_saved(run.store):
        return tune_prompts(run.config, run.task, run.store)
    num_epochs = run.config.tune.num_epochs
    with placement.ours_out_of_rays(), StageProgress("tune", "epochs", num_epochs) as progress:

        def show(state: dict[str, Any]) -> None:
            figures = {name: f"{state[name]:.3f}" for name in ("dev_loss",) if state.get(name)}
            progress.update(state["epoch"], figures=figures)

        with timed(run.store, "tune"):
            return tune_prompts(run.config, run.task, run.store, on_progress=show)


def generate(run: Run) -> dict[str, Any]:
    """Return the manifest's figures once every unit is judged and the data set is published."""
    if not run.store.exists(layout.MANIFEST):
        tune(run)
        placement.connect(run.config.cluster)
        # Left by a publishing that was cut short; what is committed from here on is not in it.
        run.store.delete(layout.SUMMARY_JSON)
        with timed(run.store, "generate"):
            shards = generate_candidates(run.config, run.task, run.store)
        with timed(run.store, "publish"):
            publish(
                run.config,
                run.store,
                shards,
                identity=run.identity,
                before_manifest=lambda: write_dataset_card(run.config, run.task, run.store),
            )
    manifest = read_manifest(run.store)
    return {"num_synthetic": manifest.num_rows, "files": len(manifest.files)}


def train(run: Run) -> dict[str, Any]:
    """Return the scores of the students once they are trained."""
    generate(run)
    from msp.distributed.train import train_students

    keys = [entry.key for entry in read_manifest(run.store).files]
    with placement.ours_out_of_rays():
        return train_students(
            run.config,
            run.task,
            run.store,
            lambda: read_synthetic(run.store, keys),
            (lambda: read_before_relabel(run.store)) if run.config.changes_labels else None,
        )


def measure(run: Run) -> dict[str, Any]:
    """Return all figures of the run once ``metrics.json`` and ``report.html`` are written."""
    stages = {"tune": tune(run), "student": train(run)}
    with timed(run.store, "evaluate"):
        quality = measure_run_quality(run.config, run.task)
    return write_figures(run.config, run.task, run.store, stages=stages, quality=quality)


def report(run: Run) -> dict[str, Any]:
    """Return where ``report.html`` is, made anew from what the store holds."""
    write_report(run.config, run.task, run.store)
    return {"report": f"{run.store.uri}/{layout.REPORT_HTML}"}


def everything(run: Run) -> dict[str, Any]:
    """Return the run's headline once every stage is done."""
    return headline(run.store, measure(run))


STAGES: dict[str, Callable[[Run], dict[str, Any]]] = {
    "run": everything,
    "tune": tune,
    "generate": generate,
    "train": train,
    "evaluate": measure,
    "report": report,
}
