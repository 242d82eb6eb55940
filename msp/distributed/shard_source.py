"""Shard numbers as a Ray Data source, one to a block, that takes a sliver of a CPU to read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from ray.data import Dataset, read_datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

_SCHEMA = pa.schema([("shard", pa.int64())])
_BYTES = 8


class _ShardNumbers(Datasource):  # type: ignore[misc]  # Ray has no types here
    def __init__(self, shards: Sequence[int]) -> None:
        self._shards = shards

    def estimate_inmemory_data_size(self) -> int:
        return _BYTES * len(self._shards)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        metadata = BlockMetadata(num_rows=1, size_bytes=_BYTES, input_files=None, exec_stats=None)
        return [
            ReadTask(partial(_block, shard), metadata, schema=_SCHEMA) for shard in self._shards
        ]


def read_shards(shards: Sequence[int], *, num_cpus: float) -> Dataset:
    """Return a data set [shard] with one row a block.

    One shard a block, since a block is what an actor loses when it dies and what
    the next step waits for. ``ray.data.range`` would want a whole CPU for each
    read, which a laptop's two do not have to spare beside the actors.
    """
    return read_datasource(
        _ShardNumbers(shards), override_num_blocks=len(shards), num_cpus=num_cpus
    )


def _block(shard: int) -> list[pa.Table]:
    return [pa.table({"shard": [shard]}, schema=_SCHEMA)]
