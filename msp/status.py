"""A run's progress, read from its store alone: no Ray, no torch, any machine."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from msp.errors import DamagedError
from msp.progress import console
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore, open_store

_STAGES = ("tune", "generate", "train")


def run_status(output_uri: str, *, endpoint_url: str | None = None) -> dict[str, Any]:
    """Return the stage a run is in and each stage's last progress, and show them.

    Args:
        output_uri: where the run writes.
        endpoint_url: of an S3 store that is not AWS.

    Returns:
        ``{"stage": .., "tune": {..}, "generate": {..}, "train": {..}}``; a stage
        that has not begun, or whose progress is damaged, is absent. Stage is ``not started``
        where nothing is there.
    """
    store = open_store(output_uri, endpoint_url=endpoint_url)
    status: dict[str, Any] = {"output_uri": output_uri, "stage": _stage(store)}
    for name in _STAGES:
        key = layout.progress_key(name)
        if store.exists(key):
            with suppress(DamagedError):  # shown as absent; the run itself makes it anew
                status[name] = read_json(store, key)
    _show(status)
    return status


def _stage(store: ObjectStore) -> str:
    finished = (
        (layout.REPORT_HTML, "done"),
        (layout.METRICS_JSON, "report"),
        (layout.MANIFEST, "train"),
        (layout.PROMPTS_JSON, "generate"),
        (layout.RUN_JSON, "tune"),
    )
    return next((stage for key, stage in finished if store.exists(key)), "not started")


def _show(status: dict[str, Any]) -> None:
    out = console()
    out.print(f"{status['output_uri']}: {status['stage']}", markup=False)
    for name in _STAGES:
        if name in status:
            figures = ", ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in status[name].items()
                if not isinstance(value, list)
            )
            out.print(f"  {name}: {figures}", markup=False)
