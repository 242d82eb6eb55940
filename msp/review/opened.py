"""A finished run, opened for review: nobody writes to it, and its task can be read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from msp.config import RunConfig
from msp.errors import ConfigError, HeldError, UserError
from msp.records import Example
from msp.review.gold import load_reviewed_task
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.lease import live_holder
from msp.storage.run_record import read_run
from msp.storage.store import ObjectStore, check_store, open_run_store, open_store
from msp.tasks.base import TaskData


@dataclass(frozen=True)
class OpenedRun:
    """A run that can be reviewed.

    Args:
        store: the run's.
        config: its config, with ``output_uri`` as it was given now.
        task: its data.
        figures: ``metrics.json``; empty where the run was not measured.
        seeds: uid -> seed example; empty where the task's data has changed since.
        notes: what the reviewer should know.
    """

    store: ObjectStore
    config: RunConfig
    task: TaskData
    figures: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, Example] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def scores(self) -> dict[str, float]:
        """Return label -> the augmented student's F1 on test, in percent, as far as measured."""
        student = self.figures.get("student") or {}
        found = (student.get("augmented") or {}).get("per_attribute") or {}
        return {name: float(score) for name, score in found.items()}


def open_finished(output_uri: str, *, endpoint_url: str | None = None) -> OpenedRun:
    """Return the run at a place, having checked that it can be reviewed now.

    Raises:
        HeldError: it is still being written, and by whom.
        ConfigError: no run is there, or it is not finished.
        UserError: the task's data cannot be read here, or the store not be written.
    """
    store = open_store(output_uri, endpoint_url=endpoint_url)
    if not store.exists(layout.RUN_JSON):
        raise ConfigError(f"{store.uri}: no run is there; name the output_uri of a finished run.")
    _check_finished(store)
    record = read_run(store)
    config = _config(store, record, endpoint_url)
    store = open_run_store(config)
    check_store(store)
    task, notes = _task(store, config), []
    if task.kind == "choice":
        raise ConfigError(
            f"{store.uri} has questions with options, which the page of msp review cannot show; "
            "read them with datasets.load_dataset from its synthetic/ folder."
        )
    same_data = record["fingerprint"].get("task.path") == task.content_hash
    if not same_data:
        notes.append(
            f"{config.task.path} has changed since the run, so seed examples are not shown."
        )
    figures = read_json(store, layout.METRICS_JSON) if store.exists(layout.METRICS_JSON) else {}
    seeds = {seed.uid: seed for seed in task.seeds} if same_data else {}
    return OpenedRun(store, config, task, figures, seeds, tuple(notes))


def _check_finished(store: ObjectStore) -> None:
    holder = live_holder(store)
    if holder is not None:
        raise HeldError(
            f"{store.uri} is being written by {holder}; wait for it, then review (msp status "
            f"{store.uri} says how far it is)."
        )
    if not store.exists(layout.MANIFEST):
        raise ConfigError(
            f"{store.uri} is not finished: it has no {layout.MANIFEST}, and nobody writes to it "
            "now. Run its command again, which continues, then review."
        )


def _config(store: ObjectStore, record: Mapping[str, Any], endpoint_url: str | None) -> RunConfig:
    """Return the run's config where it is now: with its encryption, and the endpoint of here."""
    tree = record["config"]
    cluster = {**(tree.get("cluster") or {}), "s3_endpoint_url": endpoint_url}
    try:
        return RunConfig.model_validate({**tree, "output_uri": store.uri, "cluster": cluster})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3]
        )
        raise ConfigError(
            f"{store.uri}/{layout.RUN_JSON}: holds a config that this version does not know "
            f"({faults}); review with the version that made the run."
        ) from error


def _task(store: ObjectStore, config: RunConfig) -> TaskData:
    try:
        return load_reviewed_task(config)
    except UserError as error:
        raise ConfigError(
            f"the task of {store.uri} cannot be read here ({error}); review where its data is: "
            "labels and seed examples are shown from there."
        ) from error
