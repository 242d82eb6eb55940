"""Shards by round and number as a Ray Data source that takes a sliver of a CPU to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
from ray.data import DataContext, Dataset, read_datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

ShardId = tuple[int, int]

_SCHEMA = pa.schema([("round", pa.int64()), ("shard", pa.int64())])
_BYTES = 16
# Ray ends a pipeline that makes no progress for this long; waiting for a node with a
# GPU counts as no progress, and half an hour (its default) is not enough for that.
_NO_PROGRESS_SECONDS = 6 * 3600


class _ShardNumbers(Datasource):  # type: ignore[misc]  # Ray has no types here
    def __init__(self, blocks: Sequence[Sequence[ShardId]]) -> None:
        self._blocks = blocks

    def estimate_inmemory_data_size(self) -> int:
        return _BYTES * sum(map(len, self._blocks))

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        return [
            ReadTask(partial(_block, block), _metadata(len(block)), schema=_SCHEMA)
            for block in self._blocks
        ]


def read_shards(
    shards: Sequence[ShardId], *, num_cpus: float, shards_per_block: int = 1
) -> Dataset:
    """Return a data set [round, shard].

    Where work is long, one shard a block: a block is what an actor loses when
    it dies and what the next step waits for. ``ray.data.range`` would want a
    whole CPU for each read, which a laptop's two do not have to spare beside
    the actors.

    Args:
        shards: (round, shard) of each; at least one.
        num_cpus: that reading a block takes.
        shards_per_block: more where the work on each is short.
    """
    blocks = [
        shards[start : start + shards_per_block]
        for start in range(0, len(shards), shards_per_block)
    ]
    return read_datasource(
        _ShardNumbers(blocks), override_num_blocks=len(blocks), num_cpus=num_cpus
    )


def _metadata(num_rows: int) -> BlockMetadata:
    return BlockMetadata(
        num_rows=num_rows, size_bytes=_BYTES * num_rows, input_files=None, exec_stats=None
    )


def _block(shards: Sequence[ShardId]) -> list[pa.Table]:
    rounds, numbers = zip(*shards, strict=True)
    return [pa.table({"round": rounds, "shard": numbers}, schema=_SCHEMA)]


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
