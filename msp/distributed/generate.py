"""Candidates for the whole plan, as a Ray Data stream of shards into the store, each once.

Shard numbers -> generators (frozen LM and prompts) -> judges (sentence encoder
and keep rule) -> sink. A shard's object has a name that follows from its number
and is written once, so whatever dies, running again makes exactly the shards
that are not there: no ledger, no list of finished ids in anybody's memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ray.data

from msp.config import RunConfig
from msp.denoise.drop_rate import DropRateWatch
from msp.distributed.placement import IO_CPUS, ours_out_of_rays
from msp.distributed.shard_source import read_shards
from msp.distributed.shards import ShardGenerator, ShardJudge, ShardSink
from msp.methods import make_plan
from msp.methods.base import num_shards
from msp.progress import StageProgress
from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData

# Ray ends a pipeline that makes no progress for this long; waiting for a node with a
# GPU counts as no progress, and half an hour (its default) is not enough for that.
_NO_PROGRESS_SECONDS = 6 * 3600
_STATE_INTERVAL_SECONDS = 2.0


@dataclass
class Totals:
    """What the run has committed so far; ``state/progress/generate.json`` is this as JSON."""

    planned_units: int
    done_units: int = 0
    num_candidates: int = 0
    num_kept: int = 0
    num_tokens: int = 0
    num_dropped_by_reason: Counter[str] = field(default_factory=Counter)
    wall_seconds: float = 0.0

    def add(self, row: dict[str, Any]) -> None:
        """Count one committed shard."""
        self.done_units += row["num_units"]
        self.num_candidates += row["num_candidates"]
        self.num_kept += row["num_kept"]
        self.num_tokens += row["num_tokens"]
        self.num_dropped_by_reason.update(json.loads(row["dropped"]))

    def to_json(self) -> bytes:
        """Return the totals as JSON bytes."""
        return json.dumps(vars(self), sort_keys=True).encode()


def generate_candidates(config: RunConfig, task: TaskData, store: ObjectStore) -> Totals:
    """Return the totals once every shard of the plan is committed, making those that are missing.

    Raises:
        DropRateError: nearly everything is dropped; what is committed stays.
        GenerationError: an actor fails for good.
    """
    plan = make_plan(config, task)
    shards = num_shards(plan.num_units, config.generate.units_per_shard)
    missing = sorted(set(range(shards)) - committed_shards(store))
    totals = _resume_totals(store, plan.num_units, whole=len(missing) == shards)
    if missing:
        with ours_out_of_rays():
            _run(config, task, store, missing, totals)
    return totals


def committed_shards(store: ObjectStore) -> set[int]:
    """Return the numbers of the shards that are in the store."""
    keys = (info.key for info in store.list(layout.CANDIDATES_PREFIX))
    return {shard for _, shard in map(layout.parse_candidates_key, keys)}


def _resume_totals(store: ObjectStore, planned_units: int, *, whole: bool) -> Totals:
    key = layout.progress_key("generate")
    if whole or not store.exists(key):
        return Totals(planned_units)
    # A killed driver may have committed shards after its last note; publishing counts
    # them again from the objects, so here they only feed the progress bar.
    state = json.loads(store.read(key))
    reasons = Counter(state.pop("num_dropped_by_reason"))
    return Totals(**{**state, "planned_units": planned_units, "num_dropped_by_reason": reasons})


def _run(
    config: RunConfig, task: TaskData, store: ObjectStore, missing: list[int], totals: Totals
) -> None:
    watch = DropRateWatch(config.denoise)
    started, before, noted = time.monotonic(), totals.wall_seconds, 0.0
    first = Totals(**{**vars(totals), "num_dropped_by_reason": Counter()})
    with StageProgress(
        "generate", "units", totals.planned_units, done=totals.done_units
    ) as progress:
        for row in _committed_rows(config, task, missing):
            totals.add(row)
            totals.wall_seconds = before + time.monotonic() - started
            num_kept = totals.num_kept - first.num_kept
            num_made = totals.num_candidates - first.num_candidates
            progress.update(
                totals.done_units,
                figures={
                    "kept": f"{totals.num_kept} ({progress.rate(num_kept)})",
                    "dropped": f"{totals.num_candidates - totals.num_kept} "
                    f"({progress.rate(num_made - num_kept)})",
                    "tokens": progress.rate(totals.num_tokens - first.num_tokens),
                },
            )
            if time.monotonic() - noted > _STATE_INTERVAL_SECONDS:
                noted = time.monotonic()
                store.write(layout.progress_key("generate"), totals.to_json())
            watch.add(row["num_candidates"], json.loads(row["dropped"]))
    store.write(layout.progress_key("generate"), totals.to_json())
    watch.check()  # a run shorter than the window is judged, too


def _committed_rows(
    config: RunConfig, task: TaskData, missing: list[int]
) -> Iterator[dict[str, Any]]:
    with _data_context():
        # Small enough to travel inside the actor's own record: arguments in the object
        # store can be lost with their node, and then no actor restarts.
        lean = dataclasses.replace(task, dev=(), test=())
        yield from _pipeline(config, lean, missing).iter_rows()


def _pipeline(config: RunConfig, task: TaskData, missing: list[int]) -> ray.data.Dataset:
    cluster = config.cluster
    return (
        read_shards(missing, num_cpus=IO_CPUS)
        .map_batches(
            _Generator,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                min_size=cluster.min_generators, max_size=cluster.max_generators
            ),
            fn_constructor_args=(config, task),
            num_cpus=cluster.cpus_per_generator,
            num_gpus=cluster.gpus_per_generator or None,
        )
        .map_batches(
            _Judge,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=cluster.num_scorers),
            fn_constructor_args=(config, task),
            num_cpus=cluster.cpus_per_scorer,
            num_gpus=cluster.gpus_per_scorer or None,
        )
        .map_batches(ShardSink(config), batch_size=1, batch_format="pyarrow", num_cpus=IO_CPUS)
    )


class _Generator(ShardGenerator):
    """The generator as Ray makes it: as many threads as its CPUs."""

    def __init__(self, config: RunConfig, task: TaskData) -> None:
        super().__init__(config, task, max(1, int(config.cluster.cpus_per_generator)))


class _Judge(ShardJudge):
    """The judge as Ray makes it: as many threads as its CPUs."""

    def __init__(self, config: RunConfig, task: TaskData) -> None:
        super().__init__(config, task, max(1, int(config.cluster.cpus_per_scorer)))


@contextlib.contextmanager
def _data_context() -> Iterator[None]:
    context = ray.data.DataContext.get_current()
    names = (
        "enable_progress_bars",
        "execution_no_progress_timeout_s",
        "max_errored_blocks",
    )
    before = {name: getattr(context, name) for name in names}
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = _NO_PROGRESS_SECONDS
    context.max_errored_blocks = 0
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
