"""What a run says of itself: dataset card, metrics.json and report.html, from the store."""

from __future__ import annotations

import json
from typing import Any

from msp.config import RunConfig
from msp.metrics.collect import RunSummary, diversity_metrics, generate_metrics, summarise_run
from msp.metrics.profile import profile
from msp.report.build import build_report
from msp.report.card import write_card
from msp.report.inputs import ReportInputs
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.run_record import read_run
from msp.storage.stage_times import read_stage_seconds
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData


def write_dataset_card(config: RunConfig, task: TaskData, store: ObjectStore) -> None:
    """Write ``synthetic/README.md``, once the synthetic examples it describes are there."""
    summary = summarise_run(store, task.seeds, seed=config.seed)
    metrics = collect_metrics(config, task, store, tune={}, student={}, summary=summary)
    card = write_card(_inputs(metrics, task, store), summary)
    store.write(layout.SYNTHETIC_README, card.encode())


def write_figures(
    config: RunConfig,
    task: TaskData,
    store: ObjectStore,
    *,
    stages: dict[str, dict[str, Any]],
    quality: dict[str, Any],
) -> dict[str, Any]:
    """Return every figure of the run, having written ``report.html`` and then ``metrics.json``.

    Args:
        config: the run's config.
        task: the task's data.
        store: holds the run's candidates and synthetic examples.
        stages: ``tune``, the tuning metrics (empty where nothing was tuned), and ``student``,
            both students' scores.
        quality: of the synthetic set, as :func:`msp.measuring.measure_quality` gives it.
    """
    summary = summarise_run(store, task.seeds, seed=config.seed)
    metrics = collect_metrics(config, task, store, summary=summary, **stages)
    metrics["quality"] = quality
    page = build_report(store, _inputs(metrics, task, store), summary=summary)
    store.write(layout.REPORT_HTML, page)
    store.write(layout.METRICS_JSON, json.dumps(metrics, indent=1).encode())
    return metrics


def collect_metrics(
    config: RunConfig,
    task: TaskData,
    store: ObjectStore,
    *,
    tune: dict[str, Any],
    student: dict[str, Any],
    summary: RunSummary,
) -> dict[str, Any]:
    """Return the content of ``metrics.json`` for what the store holds so far."""
    wall_seconds = _progress(store, "generate").get("wall_seconds")
    speed = summary.num_tokens / wall_seconds if wall_seconds else None
    return {
        "task": {
            "name": config.task.name,
            "domain": task.domain,
            "setting": config.task.setting,
            "num_seed": len(task.seeds),
            "num_dev": len(task.dev),
            "num_test": len(task.test),
            "notes": list(task.notes),
        },
        "tune": tune,
        "generate": {
            **generate_metrics(summary, tokens_per_second=speed, wall_seconds=wall_seconds),
            "quota": _quota(store),
        },
        "diversity": diversity_metrics(store, task.seeds, seed=config.seed),
        "student": student,
        "profile": profile(
            read_stage_seconds(store),
            train_seconds=student.get("wall_seconds"),
            generated=_progress(store, "generate"),
        ),
    }


def write_report(config: RunConfig, task: TaskData, store: ObjectStore) -> None:
    """Write ``report.html`` for what the store holds; a run under way gets what there is."""
    summary = summarise_run(store, task.seeds, seed=config.seed)
    if store.exists(layout.METRICS_JSON):
        metrics = read_json(store, layout.METRICS_JSON)
    else:
        metrics = collect_metrics(config, task, store, tune={}, student={}, summary=summary)
    page = build_report(store, _inputs(metrics, task, store), summary=summary)
    store.write(layout.REPORT_HTML, page)


def _inputs(metrics: dict[str, Any], task: TaskData, store: ObjectStore) -> ReportInputs:
    return ReportInputs(
        metrics=metrics,
        run=read_run(store),
        task_notes=task.notes,
        seeds=task.seeds,
        ontology=task.ontology,
    )


def _quota(store: ObjectStore) -> dict[str, Any] | None:
    """Return what exactly N came to, by attribute; None for a run that asked for no number."""
    if not store.exists(layout.QUOTA_JSON):
        return None
    quota: dict[str, Any] = read_json(store, layout.QUOTA_JSON)
    return quota


def _progress(store: ObjectStore, stage: str) -> dict[str, Any]:
    key = layout.progress_key(stage)
    if not store.exists(key):
        return {}
    progress: dict[str, Any] = read_json(store, key)
    return progress
