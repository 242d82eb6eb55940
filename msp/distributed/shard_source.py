"""Shards by round and number as what every Ray Data stream of a run begins with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from ray.data import DataContext, Dataset, from_blocks

ShardId = tuple[int, int]

_SCHEMA = pa.schema([("round", pa.int64()), ("shard", pa.int64())])
# Ray ends a pipeline that makes no progress for this long; waiting for a node with a
# GPU counts as no progress, and half an hour (its default) is not enough for that.
_NO_PROGRESS_SECONDS = 6 * 3600


def read_shards(shards: Sequence[ShardId], *, shards_per_block: int = 1) -> Dataset:
    """Return a data set [round, shard].

    Where work is long, one shard a block: a block is what an actor loses when
    it dies and what the next step waits for. The blocks lie with the driver,
    so no process has to start to read them and no node's death loses one.

    Args:
        shards: (round, shard) of each; at least one.
        shards_per_block: more where the work on each is short.
    """
    return from_blocks(
        [
            pa.Table.from_pylist(
                [{"round": round, "shard": shard} for round, shard in block], schema=_SCHEMA
            )
            for start in range(0, len(shards), shards_per_block)
            for block in [shards[start : start + shards_per_block]]
        ]
    )


@contextmanager
def data_context() -> Iterator[None]:
    """Run Ray Data as every stage of a run wants it, and leave its settings as they were."""
    context = DataContext.get_current()
    names = (
        "enable_progress_bars",
        "execution_no_progress_timeout_s",
        "max_errored_blocks",
        "raise_original_map_exception",
    )
    before = {name: getattr(context, name) for name in names}
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = _NO_PROGRESS_SECONDS
    context.max_errored_blocks = 0
    # Wrapped in Ray's own, our errors would lose themselves on their way to the driver.
    context.raise_original_map_exception = True
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
