"""What the rounds of a loop have kept, each with the real examples that were in view.

Which ones those were follows from a round's plan, and is noted when the round is done:
the seed examples may grow later, by what people accept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count, takewhile
from typing import Any

from msp.config import RunConfig
from msp.improve.crossfit import Kept
from msp.lineage import read_synthetic, still_wanted
from msp.methods import RoundPlan, make_plan
from msp.records import CANDIDATES_PER_UNIT_LIMIT, Example
from msp.storage import layout
from msp.storage.manifest import read_manifest
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData

_UID = "synthetic-"


def kept_of_run(store: ObjectStore) -> Iterator[Example]:
    """Yield a finished run's synthetic examples."""
    return read_synthetic(store, [entry.key for entry in read_manifest(store).files])


def unit_of(example: Example) -> int:
    """Return the id of the unit that a synthetic example was written for."""
    return int(example.uid.removeprefix(_UID)) // CANDIDATES_PER_UNIT_LIMIT


def views_of_run(
    config: RunConfig, task: TaskData, store: ObjectStore, unit_ids: Iterable[int]
) -> dict[int, list[str]]:
    """Return, for each of a finished run's units, the uids of the real examples in view.

    Args:
        config: the run's.
        task: as the run saw it.
        store: of the run.
        unit_ids: those that are wanted.
    """
    records = takewhile(store.exists, map(layout.round_key, count()))
    plans = [make_plan(config, task, RoundPlan.from_json(store.read(key))) for key in records]
    # One pass has no record: its plan follows from the config.
    plans = plans or [make_plan(config, task)]
    views = {}
    for unit_id in sorted({*unit_ids}):
        plan = next(p for p in plans if p.first_unit <= unit_id < p.first_unit + p.num_units)
        unit = plan.unit(unit_id - plan.first_unit)
        views[unit_id] = sorted({unit.seed_uid, *(e.uid for e in unit.exemplars)})
    return views


def views_to_json(views: dict[int, list[str]]) -> bytes:
    """Return the record as it lies in the loop's store."""
    return json.dumps(sorted(views.items())).encode()


def views_from_json(record: Any) -> dict[int, frozenset[str]]:
    """Return what a record says."""
    return {unit_id: frozenset(uids) for unit_id, uids in record}


def kept_with_views(
    store: ObjectStore, views: dict[int, frozenset[str]], task: TaskData
) -> Iterator[Kept]:
    """Yield a round's synthetic examples, but for those that students do not learn from now.

    That is what people have rejected since, or made a seed example of.
    """
    for example in still_wanted(kept_of_run(store), task):
        yield Kept(example, views[unit_of(example)])
