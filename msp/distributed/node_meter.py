"""Counts the cluster's nodes while a run is on, so that ``msp status`` can say what it cost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray

from msp.config import RunConfig
from msp.errors import DamagedError, StorageError
from msp.storage.node_hours import NodeHours, read_node_hours
from msp.storage.stage_times import process_seconds
from msp.storage.store import ObjectStore

_LOOK_SECONDS = 5.0
_NOTE_SECONDS = 15.0
_HEAD = "node:__internal_head__"


@contextmanager
def metered(
    config: RunConfig, store: ObjectStore, *, start_seconds: float | None = None
) -> Iterator[None]:
    """Count the nodes that are there while the block runs, and note them in the run's store.

    Args:
        config: the prices.
        store: of the run.
        start_seconds: before the block, that count for the nodes that are there now; None: since
            this process started.
    """
    before: dict[str, Any] = {}
    with suppress(DamagedError):  # those hours are lost; a run does not stop for its bill
        before = read_node_hours(store)
    hours = NodeHours(config.cluster, before)
    started = process_seconds() if start_seconds is None else start_seconds
    hours.add(started, count_nodes(_nodes()))
    ended = threading.Event()
    meter = threading.Thread(target=_count, args=(hours, store, ended), daemon=True)
    meter.start()
    try:
        yield
    finally:
        ended.set()
        meter.join()


def count_nodes(nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how many heads, GPUs and CPUs are there to be paid for, each node as one kind.

    Args:
        nodes: as ``ray.nodes()`` gives them; empty before Ray is started, which is one head.
    """
    counts: Counter[str] = Counter()
    for node in nodes:
        has = node["Resources"] if node["Alive"] else {}
        if has.get("GPU"):
            counts["gpu"] += has["GPU"]
        elif _HEAD in has:
            counts["head"] += 1
        else:
            counts["cpu"] += has.get("CPU", 0)
    return dict(counts) if nodes else {"head": 1.0}


def _count(hours: NodeHours, store: ObjectStore, ended: threading.Event) -> None:
    looked, noted, is_last = time.monotonic(), 0.0, False
    while not is_last:
        is_last = ended.wait(_LOOK_SECONDS)
        now = time.monotonic()
        hours.add(now - looked, count_nodes(_nodes()))
        looked = now
        if is_last or now - noted > _NOTE_SECONDS:
            noted = now
            with suppress(StorageError):  # the next note has these hours, too
                hours.write(store)


def _nodes() -> list[dict[str, Any]]:
    """Return Ray's nodes; none where Ray is not started, or does not answer just now."""
    if not ray.is_initialized():
        return []
    try:
        found: list[dict[str, Any]] = ray.nodes()
    except Exception:  # whatever Ray raises while its head goes away; the run itself will say so
        return []
    return found
