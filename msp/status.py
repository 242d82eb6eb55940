"""A run's progress and cost, read from its store alone: no Ray, no torch, any machine.

Likewise of what is made of several runs: a comparison's cells, and a loop's rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msp.errors import DamagedError
from msp.progress import console
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.lease import live_holder
from msp.storage.node_hours import read_node_hours
from msp.storage.store import ObjectStore, open_store

_STAGES = ("tune", "generate", "train")
# Where a comparison lists its cells, and a loop has its rounds.
_COMPARE_JSON = "compare.json"
_ROUND = "rounds/{}"
_MAX_SHOWN = 12


def run_status(output_uri: str, *, endpoint_url: str | None = None) -> dict[str, Any]:
    """Return where a run is and what it has used, and show it.

    Args:
        output_uri: where the run writes.
        endpoint_url: of an S3 store that is not AWS.

    Returns:
        ``stage``, which is ``not started`` where nothing is there; ``held_by``, who runs it now,
        or None; ``planned_units``, ``done_units``, ``num_kept``, ``num_kept_by_attribute``
        (before near-duplicates go) and ``tokens_per_second`` of generation; ``seconds_left`` of
        the present stage; ``node_hours`` and ``dollars`` so far. What is not known yet is None.
        ``tune``, ``generate`` and ``train`` are each stage's own last progress; one that has not
        begun, or whose progress is damaged, is absent. Of a comparison or a loop ``runs``, each
        one's key and stage, in place of the figures, and the status of each that has begun and
        is not done, by its key.
    """
    store = open_store(output_uri, endpoint_url=endpoint_url)
    keys = _keys_of_runs(store)
    if keys:
        return _status_of_several(store, keys, endpoint_url)
    stages: dict[str, dict[str, Any]] = {}
    for name in _STAGES:
        with suppress(DamagedError):  # shown as absent; the run itself makes it anew
            if store.exists(layout.progress_key(name)):
                stages[name] = read_json(store, layout.progress_key(name))
    used: dict[str, Any] = {}
    with suppress(DamagedError):
        used = read_node_hours(store)
    holder, stage = live_holder(store), _stage(store)
    status = {
        "output_uri": output_uri,
        "stage": stage,
        "held_by": str(holder) if holder else None,
        **_generated(stages.get("generate", {})),
        "seconds_left": _seconds_left(stage, stages),
        "node_hours": used.get("hours"),
        "dollars": used.get("dollars"),
        **stages,
    }
    _show(status)
    return status


def _keys_of_runs(store: ObjectStore) -> list[str]:
    """Return the keys of the runs that a comparison or a loop is made of; none of a single run."""
    if store.exists(_COMPARE_JSON):
        with suppress(DamagedError):  # the comparison itself makes it anew
            return [cell["key"] for cell in read_json(store, _COMPARE_JSON)["cells"]]
    keys: list[str] = []
    while store.exists(f"{(key := _ROUND.format(len(keys) + 1))}/{layout.RUN_JSON}"):
        keys.append(key)
    return keys


def _status_of_several(
    store: ObjectStore, keys: list[str], endpoint_url: str | None
) -> dict[str, Any]:
    stages = {
        key: _stage(open_store(f"{store.uri}/{key}", endpoint_url=endpoint_url)) for key in keys
    }
    num_done = sum(stage == "done" for stage in stages.values())
    holder = live_holder(store)
    by = f", worked on by {holder}" if holder else ""
    console().print(f"{store.uri}: {num_done} of {len(keys)} runs done{by}", markup=False)
    begun = [key for key, stage in stages.items() if stage not in ("done", "not started")]
    return {
        "output_uri": store.uri,
        "held_by": str(holder) if holder else None,
        "runs": stages,
        **{key: run_status(f"{store.uri}/{key}", endpoint_url=endpoint_url) for key in begun},
    }


def _generated(progress: Mapping[str, Any]) -> dict[str, Any]:
    names = ("planned_units", "done_units", "num_kept", "num_kept_by_attribute")
    seconds = progress.get("wall_seconds")
    return {
        **{name: progress.get(name) for name in names},
        "tokens_per_second": round(progress["num_tokens"] / seconds, 1) if seconds else None,
    }


def _seconds_left(stage: str, stages: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return what the present stage still needs at the pace that it had so far."""
    counts = {
        "tune": ("epoch", "num_epochs", "seconds"),
        "generate": ("done_units", "planned_units", "wall_seconds"),
        "train": ("done_students", "planned_students", "wall_seconds"),
    }
    if stage == "done":
        return 0.0
    if stage not in stages:
        return None
    done, planned, seconds = (stages[stage].get(name) for name in counts[stage])
    if not (done and planned and seconds):
        return None
    return round(float(seconds / done * max(0, planned - done)), 1)


def _stage(store: ObjectStore) -> str:
    finished = (
        (layout.REPORT_HTML, "done"),
        (layout.METRICS_JSON, "report"),
        (layout.MANIFEST, "train"),
        (layout.progress_key("train"), "train"),  # of a run that generates nothing
        (layout.PROMPTS_JSON, "generate"),
        (layout.FIT_JSON, "generate"),
        # An engine without prompts goes from its start to generation.
        (layout.progress_key("generate"), "generate"),
        (layout.RUN_JSON, "tune"),
    )
    return next((stage for key, stage in finished if store.exists(key)), "not started")


def _show(status: Mapping[str, Any]) -> None:
    out = console()
    who = status["held_by"]
    # Only a run that has begun can have been left.
    begun = status["stage"] not in ("not started", "done")
    by = f", run by {who}" if who else ", nobody runs it; the same command continues" * begun
    out.print(f"{status['output_uri']}: {status['stage']}{by}", markup=False)
    for name in _STAGES:
        if name in status:
            out.print(f"  {name}: {_words(status[name])}", markup=False)
    kept = status["num_kept_by_attribute"] or {}
    if kept:
        fewest = sorted(kept.items(), key=lambda item: (item[1], item[0]))
        shown = ", ".join(f"{name} {number}" for name, number in fewest[:_MAX_SHOWN])
        more = f" and {len(kept) - _MAX_SHOWN} more" if len(kept) > _MAX_SHOWN else ""
        out.print(f"  kept by attribute, fewest first: {shown}{more}", markup=False)
    if status["seconds_left"]:
        out.print(f"  {status['stage']}: {status['seconds_left']:.0f} s left", markup=False)
    if status["node_hours"]:
        hours = ", ".join(f"{kind} {number:.2f}" for kind, number in status["node_hours"].items())
        cost = status["dollars"]
        price = "no price in the config" if cost is None else f"{cost:.2f} dollars"
        out.print(f"  hours so far (a head, a GPU, a CPU): {hours}; {price}", markup=False)


def _words(progress: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in progress.items()
        if not isinstance(value, list | dict)
    )
