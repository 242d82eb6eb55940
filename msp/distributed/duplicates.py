"""Duplicates over a whole run, as a Ray Data shuffle that brings texts with a common key together.

What it finds is a function of the committed candidates alone, so a killed
search is simply made again; its result is written once and marked as whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from msp.config import RunConfig
from msp.denoise.duplicates import Likeness, find_duplicates
from msp.denoise.final import DUPLICATES_SCHEMA
from msp.distributed.placement import TASK_CPUS, ours_out_of_rays
from msp.distributed.shard_source import ShardId, data_context, read_shards
from msp.methods import RoundPlan
from msp.records import CANDIDATES_PER_UNIT_LIMIT
from msp.storage import layout
from msp.storage.parquet import read_table, table_bytes
from msp.storage.store import ObjectStore, open_run_store

_SHARDS_PER_BLOCK = 16
# Keyed texts that one task compares; each is about a hundred bytes.
_KEYS_PER_PARTITION = 1_000_000
_KEYS_PER_TEXT = 16
_PAIR = np.dtype(np.int64)

_KEYED_SCHEMA = pa.schema(
    [("partition", pa.int32()), ("key", pa.uint64()), ("id", pa.int64()), ("payload", pa.binary())]
)


def find_round_duplicates(
    config: RunConfig, store: ObjectStore, shards: Sequence[ShardId], *, round_plan: RoundPlan
) -> None:
    """Leave in the store which of a round's kept candidates say what an earlier one says.

    Args:
        config: ``denoise.duplicates`` and ``duplicate_cosine`` say what is alike.
        store: holds every shard.
        shards: all of this round and of those before it.
        round_plan: the round.
    """
    done = layout.duplicates_done_key(round_plan.number)
    if store.exists(done):
        return
    ways = _ways(config) if shards else []
    with TemporaryDirectory(prefix="msp-duplicates-") as folder, ours_out_of_rays():
        spool = _Spool(Path(folder), config, round_plan)
        for by_cosine in ways:
            with data_context():
                for found in _search(config, shards, by_cosine=by_cosine):
                    spool.add(found)
        num_removed = 0
        for key, rows in spool.blocks():
            store.write(key, table_bytes(rows, DUPLICATES_SCHEMA))
            num_removed += len(rows)
    store.write(done, json.dumps({"num_removed": num_removed}).encode())


def _ways(config: RunConfig) -> list[bool]:
    by_text = [False] if config.denoise.duplicates != "none" else []
    return by_text + ([True] if config.denoise.duplicate_cosine is not None else [])


def _search(config: RunConfig, shards: Sequence[ShardId], *, by_cosine: bool) -> Iterator[pa.Table]:
    """Yield tables [candidate_id, duplicate_of]; a pair may come more than once."""
    made = len(shards) * config.generate.units_per_shard * config.denoise.num_kept_per_unit
    num_partitions = 1 + made * _KEYS_PER_TEXT // _KEYS_PER_PARTITION
    cpus = config.cluster.cpus_per_scorer if by_cosine else TASK_CPUS
    keyed = read_shards(shards, shards_per_block=_SHARDS_PER_BLOCK).map_batches(
        _Keyer,
        fn_constructor_args=(config, num_partitions, by_cosine),
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=config.cluster.num_scorers),
        num_cpus=cpus,
    )
    found = keyed.groupby("partition", num_partitions=num_partitions).map_groups(
        _comparer(config, by_cosine), batch_format="pyarrow", num_cpus=TASK_CPUS
    )
    yield from found.iter_batches(batch_size=None, batch_format="pyarrow")


def _likeness(config: RunConfig, by_cosine: bool) -> Likeness:
    if not by_cosine:
        return Likeness(config.denoise)
    from msp.models.encoder import load_encoder

    return Likeness(config.denoise, load_encoder(config.denoise.encoder))


class _Keyer:
    """Turns shards into the keyed texts of what they kept."""

    def __init__(self, config: RunConfig, num_partitions: int, by_cosine: bool) -> None:
        self._store = open_run_store(config)
        self._num_partitions = num_partitions
        self._likeness = _likeness(config, by_cosine)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return [partition, key, id, payload], a row for each key of each text."""
        tables = [self._keyed(**shard) for shard in table.to_pylist()]
        return pa.concat_tables(tables)

    def _keyed(self, round: int, shard: int) -> pa.Table:
        rows = read_table(self._store, layout.candidates_key(round, shard))["candidates"]
        kept = [c for unit in rows.to_pylist() for c in unit if c["kept"]]
        if not kept:
            return _KEYED_SCHEMA.empty_table()
        keyed = self._likeness.keyed([candidate["text"] for candidate in kept])
        num_keys = keyed.keys.shape[1]
        ids = np.array([candidate["candidate_id"] for candidate in kept], dtype=np.int64)
        keys = keyed.keys.reshape(-1)
        return pa.table(
            {
                "partition": (keys % np.uint64(self._num_partitions)).astype(np.int32),
                "key": keys,
                "id": np.repeat(ids, num_keys),
                "payload": pa.array(keyed.payloads, pa.binary()).take(
                    np.repeat(np.arange(len(kept)), num_keys)
                ),
            },
            schema=_KEYED_SCHEMA,
        )


def _comparer(config: RunConfig, by_cosine: bool) -> Callable[[pa.Table], pa.Table]:
    """Return what finds the duplicates in a partition; Ray wants a function with a name here."""

    def compare(table: pa.Table) -> pa.Table:
        # The encoder only makes keys; vectors are compared without it.
        likeness = Likeness(config.denoise)
        gone = find_duplicates(
            table["key"].to_numpy(),
            table["id"].to_numpy(),
            table["payload"].to_pylist(),
            alike=likeness.cosine_alike if by_cosine else likeness.alike,
        )
        return pa.table([list(gone), list(gone.values())], schema=DUPLICATES_SCHEMA)

    return compare


class _Spool:
    """Pairs on disk, by the block of shards that the candidate is in.

    Args:
        folder: an empty one.
        config: ``generate.units_per_shard``.
        round_plan: whose candidates are wanted; those of earlier rounds were found before.
    """

    def __init__(self, folder: Path, config: RunConfig, round_plan: RoundPlan) -> None:
        self._folder, self._round = folder, round_plan.number
        self._first = round_plan.first_unit
        self._per_block = config.generate.units_per_shard * layout.SHARDS_PER_BLOCK

    def add(self, found: pa.Table) -> None:
        """Take pairs [candidate_id, duplicate_of]."""
        pairs = np.column_stack([found[name].to_numpy() for name in DUPLICATES_SCHEMA.names])
        index = pairs[:, 0] // CANDIDATES_PER_UNIT_LIMIT - self._first
        pairs, blocks = pairs[index >= 0], index[index >= 0] // self._per_block
        for block in np.unique(blocks):
            with (self._folder / f"{block:07d}").open("ab") as file:
                file.write(np.ascontiguousarray(pairs[blocks == block], dtype=_PAIR).tobytes())

    def blocks(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield each block's key and its rows, sorted, with the lowest id that each repeats."""
        for path in sorted(self._folder.iterdir()):
            pairs = np.fromfile(path, dtype=_PAIR).reshape(-1, 2)
            pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
            _, first = np.unique(pairs[:, 0], return_index=True)
            rows = [{"candidate_id": int(one), "duplicate_of": int(of)} for one, of in pairs[first]]
            shard = int(path.name) * layout.SHARDS_PER_BLOCK
            yield layout.duplicates_key(self._round, shard), rows
