"""Candidates for a round's plan, as a Ray Data stream of shards into the store, each once.

Shard numbers -> generators (frozen LM and prompts) -> judges (sentence encoder
and keep rule) -> sink. A shard's object has a name that follows from its number
and is written once, so whatever dies, running again makes exactly the shards
that are not there: no ledger, no list of finished ids in anybody's memory.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa
import ray.data

from msp.config import RunConfig
from msp.denoise.contamination import EvaluationTexts
from msp.denoise.drop_rate import DropRateWatch
from msp.distributed.counters import GeneratorCounters, JudgeCounters
from msp.distributed.placement import IO_CPUS, ours_out_of_rays
from msp.distributed.shard_source import data_context, read_shards
from msp.distributed.shards import ShardGenerator, ShardJudge, ShardSink
from msp.distributed.work_log import WorkTotals
from msp.errors import EngineDiedError
from msp.judging import evaluation_texts
from msp.methods import RoundPlan, make_plan
from msp.methods.base import num_shards
from msp.progress import StageProgress
from msp.records import Candidate
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData

_STATE_INTERVAL_SECONDS = 2.0
# Shards in one stream; Ray's driver holds something for each block of a stream to its end.
_WINDOW = 4096


@dataclass
class Totals:
    """What the run has committed so far; ``state/progress/generate.json`` is this as JSON."""

    planned_units: int = 0
    done_units: int = 0
    num_candidates: int = 0
    num_kept: int = 0
    num_tokens: int = 0
    num_dropped_by_reason: Counter[str] = field(default_factory=Counter)
    num_kept_by_attribute: Counter[str] = field(default_factory=Counter)
    wall_seconds: float = 0.0
    work: dict[str, float] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        """Count one committed shard."""
        self.done_units += row["num_units"]
        self.num_candidates += row["num_candidates"]
        self.num_kept += row["num_kept"]
        self.num_tokens += row["num_tokens"]
        self.num_dropped_by_reason.update(json.loads(row["dropped"]))
        self.num_kept_by_attribute.update(json.loads(row["kept_by_attribute"]))

    def to_json(self) -> bytes:
        """Return the totals as JSON bytes."""
        return json.dumps(vars(self), sort_keys=True).encode()


def generate_round(
    config: RunConfig, task: TaskData, store: ObjectStore, *, round_plan: RoundPlan, totals: Totals
) -> int:
    """Return the shards of a round once every one is committed, making those that are missing.

    Args:
        config: the run's config, paths absolute.
        task: the task's data.
        store: the run's store.
        round_plan: the round's record.
        totals: of the run so far; what is made is added to it.

    Raises:
        DropRateError: nearly everything of the first round is dropped; what is committed stays.
        GenerationError: an actor fails for good.
    """
    plan = make_plan(config, task, round_plan)
    shards = num_shards(plan.num_units, config.generate.units_per_shard)
    totals.planned_units += plan.num_units
    missing = _missing_shards(store, round_plan.number, shards)
    # What grows begins with a few requests; how many may be fruitless is a setting of its own.
    judge = not round_plan.number and not config.generate.grows
    with ours_out_of_rays(), _Watch(config, store, totals, judge=judge) as watch:
        while window := list(islice(missing, _WINDOW)):
            for row in committed_rows(config, task, round_plan, window):
                watch.add(row)
        watch.finish()
    return shards


def _missing_shards(store: ObjectStore, round: int, shards: int) -> Iterator[int]:
    """Yield the numbers of the shards that are not in the store, holding none of the others."""
    listed = (
        layout.parse_candidates_key(info.key)[1] for info in store.list(layout.round_prefix(round))
    )
    there = next(listed, None)
    for shard in range(shards):
        while there is not None and there < shard:
            there = next(listed, None)
        if there != shard:
            yield shard


def resume_totals(store: ObjectStore) -> Totals:
    """Return the totals that a driver before this one left, or none.

    A killed driver may have committed shards after its last note; publishing
    counts them again from the objects, so here they only feed the display.
    """
    key = layout.progress_key("generate")
    if not store.exists(key):
        return Totals()
    state = read_json(store, key)
    counters = {
        name: Counter(state.pop(name, {}))  # an earlier version counted fewer
        for name in ("num_dropped_by_reason", "num_kept_by_attribute")
    }
    return Totals(**{**state, "planned_units": 0, **counters})


class _Watch:
    """Shows, notes in the store and judges what is committed, while it is.

    Args:
        config: the run's config.
        store: where the totals are noted.
        totals: of the run.
        judge: whether dropping nearly everything is a fault; a later round asks for what
            is hard, and its end says what came of it.
    """

    def __init__(
        self, config: RunConfig, store: ObjectStore, totals: Totals, *, judge: bool
    ) -> None:
        self._drops = DropRateWatch(config.denoise)
        self._judge = judge
        self._store, self._totals = store, totals
        self._first = Totals(**{**vars(totals), "num_dropped_by_reason": Counter()})
        self._work = WorkTotals(totals.work)
        self._started, self._noted = time.monotonic(), 0.0
        self._progress = StageProgress(
            "generate", "units", totals.planned_units, done=totals.done_units
        )

    def __enter__(self) -> _Watch:
        self._progress.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)

    def add(self, row: dict[str, Any]) -> None:
        """Count one committed shard."""
        totals, first = self._totals, self._first
        totals.add(row)
        self._work.add(row["work"])
        wall_seconds = time.monotonic() - self._started
        totals.wall_seconds = first.wall_seconds + wall_seconds
        totals.work = self._work.figures(wall_seconds)
        num_kept = totals.num_kept - first.num_kept
        num_made = totals.num_candidates - first.num_candidates
        rate = self._progress.rate
        self._progress.update(
            totals.done_units,
            figures={
                "kept": f"{totals.num_kept} ({rate(num_kept)})",
                "dropped": f"{totals.num_candidates - totals.num_kept} "
                f"({rate(num_made - num_kept)})",
                "tokens": rate(totals.num_tokens - first.num_tokens),
            },
        )
        if time.monotonic() - self._noted > _STATE_INTERVAL_SECONDS:
            self._note()
        if self._judge:
            self._drops.add(row["num_candidates"], json.loads(row["dropped"]))

    def finish(self) -> None:
        """Note the totals, and judge a round that was shorter than the window, too."""
        self._note()
        if self._judge:
            self._drops.check()

    def _note(self) -> None:
        self._noted = time.monotonic()
        self._store.write(layout.progress_key("generate"), self._totals.to_json())


def committed_rows(
    config: RunConfig, task: TaskData, round_plan: RoundPlan, shards: list[int]
) -> Iterator[dict[str, Any]]:
    """Yield the counts of each of a round's shards, as :func:`shard_counts`, once it is committed.

    Args:
        config: the run's config, paths absolute.
        task: the task's data.
        round_plan: the round's record.
        shards: the numbers of those to make.
    """
    evaluation = evaluation_texts(config, task)
    with data_context():
        # Small enough to travel inside the actor's own record: arguments in the object
        # store can be lost with their node, and then no actor restarts.
        lean = dataclasses.replace(task, dev=(), test=(), also_test={})
        job = (config, lean, round_plan)
        yield from _pipeline(config, job, evaluation, shards).iter_rows()


def _pipeline(
    config: RunConfig,
    job: tuple[RunConfig, TaskData, RoundPlan],
    evaluation: EvaluationTexts,
    shards: list[int],
) -> ray.data.Dataset:
    cluster, round = config.cluster, job[2].number
    return (
        read_shards([(round, shard) for shard in shards])
        .map_batches(
            _Generator,
            batch_size=1,
            batch_format="pyarrow",
            compute=_generators(config),
            fn_constructor_args=job,
            num_cpus=cluster.cpus_per_generator,
            num_gpus=cluster.gpus_per_generator or None,
            label_selector=cluster.generator_labels or None,
        )
        .map_batches(
            _Judge,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=cluster.num_scorers),
            fn_constructor_args=(*job, evaluation),
            num_cpus=cluster.cpus_per_scorer,
            num_gpus=cluster.gpus_per_scorer or None,
            label_selector=cluster.scorer_labels or None,
        )
        .map_batches(
            ShardSink(config, round),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=IO_CPUS,
            # Each is a process of its own, and one writes as fast as several judges judge.
            compute=ray.data.TaskPoolStrategy(size=min(cluster.num_scorers + 1, len(shards))),
        )
    )


def _generators(config: RunConfig) -> ray.data.ActorPoolStrategy:
    """Return the generators' pool; vLLM's hold enough shards to fill a batch while one ends."""
    cluster = config.cluster
    if config.generate.engine != "vllm":
        return ray.data.ActorPoolStrategy(
            min_size=cluster.min_generators, max_size=cluster.max_generators
        )
    # Here, since every worker of the stream imports this module, and that one imports torch.
    from msp.engines.vllm_settings import shards_in_flight

    return ray.data.ActorPoolStrategy(
        min_size=cluster.min_generators,
        max_size=cluster.max_generators,
        max_concurrent_calls_per_actor=shards_in_flight(config),
        enable_true_multi_threading=True,
    )


class _Generator(ShardGenerator):
    """The generator as Ray makes it: as many threads as its CPUs, and it dies with its engine."""

    def __init__(self, config: RunConfig, task: TaskData, round_plan: RoundPlan) -> None:
        num_threads = max(1, int(config.cluster.cpus_per_generator))
        super().__init__(config, task, round_plan, num_threads)
        self._counters = GeneratorCounters()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return what :class:`ShardGenerator` returns, or end this process."""
        try:
            written = super().__call__(table)
        except EngineDiedError:
            # An error would send the shard to this actor again; after an exit Ray starts another.
            # The engine has said why in the log.
            os._exit(1)
        for units in written["units"].to_pylist():
            self._counters.add(units)
        return written


class _Judge(ShardJudge):
    """The judge as Ray makes it: as many threads as its CPUs."""

    def __init__(
        self,
        config: RunConfig,
        task: TaskData,
        round_plan: RoundPlan,
        evaluation: EvaluationTexts,
    ) -> None:
        num_threads = max(1, int(config.cluster.cpus_per_scorer))
        super().__init__(config, task, round_plan, evaluation=evaluation, num_threads=num_threads)
        self._counters = JudgeCounters()

    def judged(self, candidates: Sequence[Sequence[Candidate]]) -> None:
        """Count a shard's verdicts."""
        self._counters.add(candidate.reason for unit in candidates for candidate in unit)
