"""Where a loop keeps what it knows, and what is there: plans, costs, views and measurements.

::

    run.json                  which loop this is
    rounds/1, rounds/2        a run each
    state/plan-001.json       written before the round
    state/spent-001.json      what the round took, written after it
    state/views-001.json      which real examples each unit saw
    state/measure-001.json    written last: the round is done; 000 is the seed examples alone
    index.html  improve.md  improve.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from msp.improve.measure import Measure
from msp.improve.plan import PlannedRound
from msp.improve.spent import Spent
from msp.storage.damage import read_json
from msp.storage.layout import STATE_PREFIX
from msp.storage.store import ObjectStore


def plan_key(number: int) -> str:
    """Return where a round's plan is."""
    return f"{STATE_PREFIX}plan-{number:03d}.json"


def spent_key(number: int) -> str:
    """Return where it says what a round took."""
    return f"{STATE_PREFIX}spent-{number:03d}.json"


def views_key(number: int) -> str:
    """Return where it says what a round's units saw."""
    return f"{STATE_PREFIX}views-{number:03d}.json"


def measure_key(number: int) -> str:
    """Return where a round's measurement is; the round is done where it is there."""
    return f"{STATE_PREFIX}measure-{number:03d}.json"


def read_measures(store: ObjectStore) -> list[Measure]:
    """Return the measurements of all rounds that are done, round 0 first."""
    return [Measure.from_json(record) for record in _records(store, measure_key, 0)]


def read_plans(store: ObjectStore) -> list[PlannedRound]:
    """Return all plans, that of round 1 first; the last one's round may be under way."""
    return [PlannedRound.from_json(record) for record in _records(store, plan_key, 1)]


def read_spents(store: ObjectStore) -> list[Spent]:
    """Return what the rounds took that are done, round 1 first."""
    num_done = sum(1 for _ in _records(store, measure_key, 1))
    return [Spent.from_json(record) for record in _records(store, spent_key, 1)][:num_done]


def _records(store: ObjectStore, key_of: Callable[[int], str], first: int) -> Iterator[Any]:
    for number in count(first):
        if not store.exists(key_of(number)):
            return
        yield read_json(store, key_of(number))
