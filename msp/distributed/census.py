"""What came of each attribute combination, counted over the cluster, and who is in the finished N.

Counting is a function of what is committed; its results are small however many
units there are: a row for each combination.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from msp.config import RunConfig
from msp.denoise.final import Cell, FinalVerdicts, Keys, cells, ranks
from msp.distributed.placement import TASK_CPUS, ours_out_of_rays
from msp.distributed.shard_source import ShardId, data_context, read_shards
from msp.methods.rounds import CellCount, Census
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore, open_run_store

_SHARDS_PER_BLOCK = 16
_COUNTED_SCHEMA = pa.schema([("counts", pa.string())])
_RANKS_SCHEMA = pa.schema([("cell", pa.string()), ("ranks", pa.list_(pa.uint64()))])
# A rank's upper bits are the noise score; those of one noise score are few enough to hold.
_NOISE_SHIFT = 48


def round_census(
    config: RunConfig, store: ObjectStore, shards: Sequence[ShardId]
) -> dict[Cell, CellCount]:
    """Return what came of each combination in one round; its duplicates are found already.

    Args:
        config: the run's config.
        store: holds the round's shards.
        shards: of the round.
    """
    if not shards:
        return {}
    key = layout.census_key(shards[0][0])
    if not store.exists(key):
        census: dict[Cell, CellCount] = defaultdict(CellCount)
        for row in _over_shards(config, shards, _count, _COUNTED_SCHEMA):
            for cell, counts in json.loads(row["counts"]):
                census[tuple(cell)].add(_cell_count(counts))
        found = [[list(cell), _json(count)] for cell, count in sorted(census.items())]
        store.write(key, json.dumps(found).encode())
    return {tuple(cell): _cell_count(counts) for cell, counts in read_json(store, key)}


def merged(one: Census, other: Census) -> dict[Cell, CellCount]:
    """Return the counts of two rounds together."""
    both: dict[Cell, CellCount] = defaultdict(CellCount)
    for census in (one, other):
        for cell, count in census.items():
            both[cell].add(count)
    return dict(both)


def cutoffs(
    config: RunConfig, shards: Sequence[ShardId], numbers: Mapping[Cell, int], census: Census
) -> dict[Cell, int]:
    """Return each combination's highest rank such that exactly its number is not above it.

    Two passes over the candidates where a combination has more than its
    number: the first finds the noise score at which it ends, the second the
    candidate of that score.

    Args:
        config: the run's config.
        shards: of all rounds.
        numbers: combination -> how many of its accepted candidates are wanted.
        census: what was accepted.
    """
    found = {cell: 2**63 - 1 for cell, number in numbers.items() if number}
    over = {cell for cell in found if census[cell].accepted > numbers[cell]}
    if not over:
        return found
    steps: dict[Cell, Counter[int]] = defaultdict(Counter)
    for cell, values in _ranks(config, shards, over, None):
        steps[cell].update((values >> np.uint64(_NOISE_SHIFT)).tolist())
    ends = {cell: _end(steps[cell], numbers[cell]) for cell in over}
    last: dict[Cell, list[int]] = defaultdict(list)
    for cell, values in _ranks(config, shards, over, {c: step for c, (step, _) in ends.items()}):
        last[cell] += values.tolist()
    for cell, (_, left) in ends.items():
        found[cell] = sorted(last[cell])[left - 1]
    return found


def _end(steps: Counter[int], number: int) -> tuple[int, int]:
    """Return the step in which the number is reached, and how many of that step it takes."""
    left = number
    for step, count in sorted(steps.items()):
        if count >= left:
            return step, left
        left -= count
    raise AssertionError("the number is at most what was accepted")


def _ranks(
    config: RunConfig,
    shards: Sequence[ShardId],
    over: set[Cell],
    only: Mapping[Cell, int] | None,
) -> Iterator[tuple[Cell, Keys]]:
    work = partial(_rank, over=over, only=only)
    for row in _over_shards(config, shards, work, _RANKS_SCHEMA):
        yield tuple(json.loads(row["cell"])), np.array(row["ranks"], dtype=np.uint64)


def _over_shards(
    config: RunConfig, shards: Sequence[ShardId], work: Any, schema: pa.Schema
) -> Iterator[dict[str, Any]]:
    counted = read_shards(shards, shards_per_block=_SHARDS_PER_BLOCK).map_batches(
        _OverShards(config, work, schema), batch_format="pyarrow", num_cpus=TASK_CPUS
    )
    with data_context(), ours_out_of_rays():
        yield from counted.iter_rows()


class _OverShards:
    """Reads shards with their duplicates out, and gives the rows that ``work`` makes of each."""

    def __init__(self, config: RunConfig, work: Any, schema: pa.Schema) -> None:
        self._config, self._work, self._schema = config, work, schema

    def __call__(self, table: pa.Table) -> pa.Table:
        verdicts = FinalVerdicts(open_run_store(self._config))
        rows = [
            row
            for shard in table.to_pylist()
            for row in self._work(verdicts.read(shard["round"], shard["shard"]))
        ]
        return pa.Table.from_pylist(rows, schema=self._schema)


def _count(table: pa.Table) -> list[dict[str, str]]:
    census: dict[Cell, CellCount] = defaultdict(CellCount)
    for cell, unit in zip(cells(table), table["candidates"].to_pylist(), strict=True):
        census[cell].add(
            CellCount(
                units=1,
                candidates=len(unit),
                accepted=sum(candidate["kept"] for candidate in unit),
                reasons=Counter(c["reason"] for c in unit if not c["kept"]),
            )
        )
    return [{"counts": json.dumps([[list(cell), _json(n)] for cell, n in census.items()])}]


def _rank(
    table: pa.Table, *, over: set[Cell], only: Mapping[Cell, int] | None
) -> list[dict[str, Any]]:
    column = table["candidates"].combine_chunks()
    flat, parents = column.flatten(), pc.list_parent_indices(column).to_numpy()
    kept = flat.field("kept").to_numpy(zero_copy_only=False).astype(bool)
    noise = flat.field("noise_score").to_numpy(zero_copy_only=False)
    values = ranks(noise, flat.field("candidate_id").to_numpy())
    of: dict[Cell, list[int]] = defaultdict(list)
    for row, cell in enumerate(cells(table)):
        of[cell].append(row)
    return [
        {"cell": json.dumps(cell), "ranks": _chosen(values[kept & np.isin(parents, rows)], step)}
        for cell, rows in of.items()
        if cell in over
        for step in [None if only is None else only[cell]]
    ]


def _chosen(values: Keys, step: int | None) -> list[int]:
    chosen: npt.NDArray[np.uint64] = values
    if step is not None:
        chosen = values[values >> np.uint64(_NOISE_SHIFT) == np.uint64(step)]
    found: list[int] = chosen.tolist()
    return found


def _json(count: CellCount) -> dict[str, Any]:
    """Return a count as JSON values."""
    return {
        "units": count.units,
        "candidates": count.candidates,
        "accepted": count.accepted,
        "reasons": dict(count.reasons),
    }


def _cell_count(counts: Mapping[str, Any]) -> CellCount:
    return CellCount(**{**counts, "reasons": Counter(counts["reasons"])})
