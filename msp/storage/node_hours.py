"""What a run has used of its machines so far, and what that cost: one small object in its store.

Counted are the nodes that were there while a command ran, busy or not, since
that is what is paid for. A node is of one kind: ``gpu`` where it has GPUs (and
counts by them), else ``head``, else ``cpu`` (and counts by its CPUs).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore

if TYPE_CHECKING:
    from msp.config import ClusterConfig

Kind = Literal["head", "gpu", "cpu"]
KINDS: tuple[Kind, ...] = ("head", "gpu", "cpu")


def dollars(config: ClusterConfig, hours: Mapping[str, float]) -> float | None:
    """Return the price of hours by kind; None where the config names no price at all.

    Args:
        config: its ``dollars_per_*_hour``; a kind without a price is not counted.
        hours: kind -> hours of heads, of GPUs and of CPUs.
    """
    prices = {
        "head": config.dollars_per_head_hour,
        "gpu": config.dollars_per_gpu_hour,
        "cpu": config.dollars_per_cpu_hour,
    }
    if all(price is None for price in prices.values()):
        return None
    return sum((price or 0.0) * hours.get(kind, 0.0) for kind, price in prices.items())


class NodeHours:
    """The hours of a run over all its starts; ``state/nodes.json`` holds them.

    Args:
        config: the prices of this start; what earlier starts cost stays.
        before: what the object held at this start; empty for none.
    """

    def __init__(self, config: ClusterConfig, before: Mapping[str, Any]) -> None:
        self._config = config
        self._before = before
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._now: dict[str, float] = {}

    def add(self, seconds: float, nodes: Mapping[str, float]) -> None:
        """Count ``seconds`` of the nodes, heads and GPUs and CPUs by kind, that are there now."""
        self._now = {kind: nodes.get(kind, 0.0) for kind in KINDS}
        for kind, number in self._now.items():
            self._seconds[kind] += seconds * number

    def state(self) -> dict[str, Any]:
        """Return the object's content: ``hours`` and ``now`` by kind, and ``dollars``."""
        hours: dict[str, float] = {kind: self._seconds[kind] / 3600 for kind in KINDS}
        cost, spent = dollars(self._config, hours), self._before.get("dollars")
        known = [amount for amount in (spent, cost) if amount is not None]
        earlier = self._before.get("hours", {})
        return {
            "hours": {kind: round(earlier.get(kind, 0.0) + hours[kind], 6) for kind in KINDS},
            "now": self._now,
            "dollars": round(sum(known), 6) if known else None,
        }

    def write(self, store: ObjectStore) -> None:
        """Make the run's store hold the hours so far."""
        store.write(layout.NODES_JSON, json.dumps(self.state(), sort_keys=True).encode())


def read_node_hours(store: ObjectStore) -> dict[str, Any]:
    """Return what a run has used so far; empty where it has noted nothing yet.

    Raises:
        DamagedError: the object is not JSON.
    """
    if not store.exists(layout.NODES_JSON):
        return {}
    found: dict[str, Any] = read_json(store, layout.NODES_JSON)
    return found
