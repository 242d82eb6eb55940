"""Columns of a run's Parquet objects, one small batch after another.

A run may hold more rows than any machine has memory for, so nothing that
measures or reports ever asks for more than a shard at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from msp.errors import StorageError
from msp.storage.seal import check_seal, damaged
from msp.storage.store import ObjectStore

BATCH_ROWS = 256


def stream_batches(
    store: ObjectStore, prefix: str, *, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of every ``.parquet`` object under a prefix, in key order.

    Args:
        store: the run's store.
        prefix: such as ``candidates/``.
        columns: the columns to read; others cost nothing but the download.

    Raises:
        DamagedError: an object is not as it was written.
        StorageError: an object lacks a column.
    """
    for entry in store.list(prefix):
        if not entry.key.endswith(".parquet"):
            continue
        try:
            payload = store.read(entry.key)
            check_seal(payload, f"{store.uri}/{entry.key}")
            parquet = pq.ParquetFile(io.BytesIO(payload), pre_buffer=False)
            missing = [name for name in columns if name not in parquet.schema_arrow.names]
            if missing:
                raise StorageError(
                    f"{store.uri}/{entry.key} has no column {missing[0]!r}; it holds "
                    f"{', '.join(parquet.schema_arrow.names)}. It was not written by a run: "
                    "move it elsewhere."
                )
            yield from parquet.iter_batches(
                batch_size=BATCH_ROWS, columns=list(columns), use_threads=False
            )
        except (pa.ArrowException, OSError) as error:
            raise damaged(f"{store.uri}/{entry.key}", str(error)) from error
