"""The three steps that turn a shard's number into a committed object, as plain classes.

Each is what Ray Data runs in an actor or a task, and each runs without Ray:
``ShardSink(...)(ShardJudge(...)(ShardGenerator(...)(table)))``. A row is a
whole shard from end to end, because the shard is what commits.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from msp.config import RunConfig
from msp.denoise.contamination import EvaluationTexts
from msp.distributed.work_log import BusyClock, generator_work, judge_work
from msp.methods import Opening, Plan, RoundPlan, Writer, find_method, make_plan
from msp.methods.base import shard_units
from msp.records import CANDIDATES_SCHEMA, Candidate, Generated, Unit, unit_row
from msp.storage import layout
from msp.storage.parquet import read_table_bytes, table_bytes
from msp.storage.store import open_run_store
from msp.tasks.base import TaskData

_GENERATED = pa.list_(
    pa.list_(
        pa.struct([("text", pa.string()), ("num_tokens", pa.int32()), ("logprob", pa.float32())])
    )
)
GENERATED_SCHEMA = pa.schema([("shard", pa.int64()), ("units", _GENERATED), ("work", pa.string())])
JUDGED_SCHEMA = pa.schema(
    [("shard", pa.int64()), ("rows", pa.large_binary()), ("work", pa.string())]
)
COMMITTED_SCHEMA = pa.schema(
    [
        ("shard", pa.int64()),
        ("num_units", pa.int64()),
        ("num_candidates", pa.int64()),
        ("num_kept", pa.int64()),
        ("num_tokens", pa.int64()),
        ("dropped", pa.string()),
        ("kept_by_attribute", pa.string()),
        ("work", pa.string()),
    ]
)


class ShardGenerator:
    """Writes the raw texts of a shard's units; holds the frozen LM and the prompts.

    Args:
        config: the run's config, paths absolute.
        task: the task's data; a few hundred examples.
        round_plan: the round that the shards are of.
        num_threads: CPU threads for the engine.
    """

    def __init__(
        self, config: RunConfig, task: TaskData, round_plan: RoundPlan, num_threads: int = 1
    ) -> None:
        self._config = config
        self._plan = make_plan(config, task, round_plan)
        self._writer = _open_writer(config, task, num_threads)
        self._clock = BusyClock()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return [shard, units, work] for each shard of the batch."""
        rows = []
        for shard in table["shard"].to_pylist():
            with self._clock:
                generated = self._writer.write(_units(self._config, self._plan, shard))
            rows.append(
                {
                    "shard": shard,
                    "units": [[_generated_row(g) for g in unit] for unit in generated],
                    "work": generator_work(self._clock, self._writer.take_counts()),
                }
            )
        return pa.Table.from_pylist(rows, schema=GENERATED_SCHEMA)


class ShardJudge:
    """Gives every candidate of a shard its verdict; holds the sentence encoder.

    Args:
        config: the run's config, paths absolute.
        task: the task's data.
        round_plan: the round that the shards are of.
        evaluation: what no candidate may hold.
        num_threads: CPU threads for the encoder.
    """

    def __init__(
        self,
        config: RunConfig,
        task: TaskData,
        round_plan: RoundPlan,
        *,
        evaluation: EvaluationTexts | None = None,
        num_threads: int = 1,
    ) -> None:
        from msp.judging import judges_with_models, make_scorer

        if judges_with_models(config, task.kind):
            _set_threads(num_threads)
        self._config = config
        self._plan = make_plan(config, task, round_plan)
        self._scorer = make_scorer(config, task, evaluation)
        self._clock = BusyClock()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return [shard, rows, work]; rows is the shard's parquet object."""
        judged = []
        for row in table.to_pylist():
            units = _units(self._config, self._plan, row["shard"])
            generated = [[Generated(**g) for g in unit] for unit in row["units"]]
            with self._clock:
                candidates = self._scorer.judge(units, generated)
            self.judged(candidates)
            rows = [unit_row(unit, made) for unit, made in zip(units, candidates, strict=True)]
            judged.append(
                {
                    "shard": row["shard"],
                    "rows": table_bytes(rows, CANDIDATES_SCHEMA),
                    "work": judge_work(row["work"], self._clock),
                }
            )
        return pa.Table.from_pylist(judged, schema=JUDGED_SCHEMA)

    def judged(self, candidates: Sequence[Sequence[Candidate]]) -> None:
        """Hear of each shard's verdicts; here nobody counts them."""


class ShardSink:
    """Commits a shard as one object that is written once, whoever tries again.

    Args:
        config: the run's config, paths absolute.
        round: the number of the round that the shards are of.
    """

    def __init__(self, config: RunConfig, round: int = 0) -> None:
        self._round = round
        self._store = open_run_store(config)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return one row of counts for each shard, read from what is in the store."""
        committed = []
        for row in table.to_pylist():
            key = layout.candidates_key(self._round, row["shard"])
            rows = row["rows"]
            if not self._store.write_once(key, rows):
                # A predecessor that was thought dead had committed it: its object is the shard.
                rows = self._store.read(key)
            committed.append({**shard_counts(row["shard"], rows), "work": row["work"]})
        return pa.Table.from_pylist(committed, schema=COMMITTED_SCHEMA)


def shard_counts(shard: int, parquet: bytes) -> dict[str, object]:
    """Return a committed shard's counts, those by reason and by attribute as JSON."""
    table = read_table_bytes(parquet, f"shard {shard}")
    units = table["candidates"].to_pylist()
    candidates = [candidate for unit in units for candidate in unit]
    dropped = Counter(c["reason"] for c in candidates if not c["kept"])
    kept_by_attribute: Counter[str] = Counter()
    for attributes, unit in zip(table["attributes"].to_pylist(), units, strict=True):
        num_kept = sum(candidate["kept"] for candidate in unit)
        kept_by_attribute.update(dict.fromkeys(attributes, num_kept))
    return {
        "shard": shard,
        "num_units": len(units),
        "num_candidates": len(candidates),
        "num_kept": sum(c["kept"] for c in candidates),
        "num_tokens": sum(c["num_tokens"] for c in candidates),
        "dropped": json.dumps(dropped, sort_keys=True),
        "kept_by_attribute": json.dumps(kept_by_attribute, sort_keys=True),
    }


def _units(config: RunConfig, plan: Plan, shard: int) -> list[Unit]:
    ids = shard_units(shard, config.generate.units_per_shard, plan.num_units)
    return [plan.unit(i) for i in ids]


def _open_writer(config: RunConfig, task: TaskData, num_threads: int) -> Writer:
    if config.generate.engine != "scripted":
        _set_threads(num_threads)
    return find_method(config).open_writer(Opening(config, task, open_run_store(config)))


def _generated_row(generated: Generated) -> dict[str, object]:
    return {
        "text": generated.text,
        "num_tokens": generated.num_tokens,
        "logprob": generated.logprob,
    }


def _set_threads(num_threads: int) -> None:
    # Two processes with two torch threads each on two cores run ten times slower than one.
    import torch

    torch.set_num_threads(num_threads)
