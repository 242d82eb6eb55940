"""How busy the actors were: counted where the work is done, carried along with each shard."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any


class BusyClock:
    """How long an actor had anything to do, however many calls overlapped.

    Enter it around each call; :meth:`take` gives what has passed since it was last asked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_calls = 0
        self._since = 0.0
        self._seconds = 0.0

    def __enter__(self) -> BusyClock:
        with self._lock:
            self._settle()
            self._num_calls += 1
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._settle()
            self._num_calls -= 1

    def take(self) -> float:
        """Return the busy seconds since the last call of this."""
        with self._lock:
            self._settle()
            seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _settle(self) -> None:
        now = time.monotonic()
        if self._num_calls:
            self._seconds += now - self._since
        self._since = now


def generator_work(clock: BusyClock, counts: Mapping[str, int]) -> str:
    """Return, as JSON, what a generator did for a shard: who it is, how long, what it counted."""
    actor = f"{socket.gethostname()}:{os.getpid()}"
    return json.dumps({"actor": actor, "generator_seconds": clock.take(), **counts})


def judge_work(work: str, clock: BusyClock) -> str:
    """Return a shard's work with the judge's part added."""
    return json.dumps({**json.loads(work), "judge_seconds": clock.take()})


class WorkTotals:
    """What all generators and judges of a run did, over all its starts.

    Args:
        before: what earlier starts left, from :attr:`figures`.
    """

    def __init__(self, before: Mapping[str, float]) -> None:
        self._before = dict(before)
        self._sums: Counter[str] = Counter()
        self._actors: set[str] = set()

    def add(self, work: str) -> None:
        """Count one committed shard's work."""
        found: dict[str, Any] = json.loads(work)
        self._actors.add(found.pop("actor"))
        self._sums.update(found)

    def figures(self, wall_seconds: float) -> dict[str, float]:
        """Return the sums, and how many seconds the generators could have been busy.

        Args:
            wall_seconds: of this start so far.
        """
        now = {**self._sums, "generators_up_seconds": wall_seconds * len(self._actors)}
        return {
            name: round(self._before.get(name, 0) + now.get(name, 0), 3)
            for name in sorted({*self._before, *now})
        }
