"""The stages of a run that is not finished; what they import takes seconds.

Tuning and training import torch, so each is imported where it is needed: a
resumed generation starts without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from msp.distributed import placement
from msp.distributed.publish import publish, read_before_relabel
from msp.distributed.quality import measure_run_quality
from msp.distributed.rounds import generate_candidates
from msp.distributed.run import Run, headline
from msp.lineage import inherit_learned, kept_before, read_synthetic
from msp.methods import Opening, find_method, learns_a_model, tunes_prompts
from msp.methods.direct import writes_nothing
from msp.progress import StageProgress
from msp.prompts.checkpoint import prompts_are_saved
from msp.report.finish import write_dataset_card, write_figures, write_report
from msp.storage import layout
from msp.storage.manifest import read_manifest
from msp.storage.stage_times import timed


def tune(run: Run) -> dict[str, Any]:
    """Return the tuning metrics once the prompts, or a method's own model, are in the store.

    What answers the task itself learns with the students.
    """
    if learns_a_model(run.config):
        from msp.distributed.fit import fit_model as learn
    elif tunes_prompts(run.config):
        from msp.distributed.tune import tune_prompts as learn
    else:
        return {}
    inherit_learned(run.config, run.store, run.identity)
    if prompts_are_saved(run.store) or run.store.exists(layout.FIT_JSON):
        return learn(run.config, run.task, run.store)
    with _learning_shown(run) as show:
        return learn(run.config, run.task, run.store, on_progress=show)


@contextmanager
def _learning_shown(run: Run) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Time what the block learns, and show the progress that it is told."""
    num_epochs = run.config.tune.num_epochs
    with placement.ours_out_of_rays(), StageProgress("tune", "epochs", num_epochs) as progress:

        def show(state: dict[str, Any]) -> None:
            figures = {name: f"{state[name]:.3f}" for name in ("dev_loss",) if state.get(name)}
            progress.update(state["epoch"], figures=figures)

        with timed(run.store, "tune"):
            yield show


def generate(run: Run) -> dict[str, Any]:
    """Return the manifest's figures once every unit is judged and the data set is published.

    Raises:
        ConfigError: the run's method answers the task itself and writes nothing.
    """
    if find_method(run.config).is_direct:
        writes_nothing(Opening(run.config, run.task, run.store))
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
    if find_method(run.config).is_direct:
        return _answer(run)
    generate(run)
    from msp.distributed.train import train_students

    keys = [entry.key for entry in read_manifest(run.store).files]
    with placement.ours_out_of_rays():
        return train_students(
            run.config,
            run.task,
            run.store,
            lambda: chain(kept_before(run.config, run.task), read_synthetic(run.store, keys)),
            before_relabel=(
                (lambda: read_before_relabel(run.store)) if run.config.changes_labels else None
            ),
        )


def _answer(run: Run) -> dict[str, Any]:
    """Return the scores of the LM's own answers, and of the student of the seed examples."""
    from msp.distributed.direct import train_direct
    from msp.distributed.train import train_students

    with _learning_shown(run) as show:
        direct = train_direct(run.config, run.task, run.store, on_progress=show)
    with placement.ours_out_of_rays():
        students = train_students(run.config, run.task, run.store, None)
    return {**students, "direct": direct}


def measure(run: Run) -> dict[str, Any]:
    """Return all figures of the run once ``metrics.json`` and ``report.html`` are written."""
    student = train(run)
    stages = {"tune": _learned(run), "student": student}
    with timed(run.store, "evaluate"):
        quality = measure_run_quality(run.config, run.task)
    return write_figures(run.config, run.task, run.store, stages=stages, quality=quality)


def _learned(run: Run) -> dict[str, Any]:
    if not find_method(run.config).is_direct:
        return tune(run)
    from msp.methods.fit_store import read_fit_figures

    return read_fit_figures(run.store)


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
