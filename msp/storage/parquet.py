"""Tables as Parquet objects that carry their own checksum, so that damage is named and not read.

Parquet's page checksums leave out the footer, and what S3 and disks check, a
reader does not see.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from msp.storage.seal import CHECKSUM_KEY, UNSEALED, check_seal, damaged, sealed
from msp.storage.store import ObjectStore


def table_bytes(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """Return the rows as one sealed Parquet file, zstd-compressed; same rows, same bytes."""
    return arrow_bytes(pa.Table.from_pylist(list(rows), schema=schema))


def arrow_bytes(table: pa.Table) -> bytes:
    """Return the table as one sealed Parquet file, zstd-compressed; same rows, same bytes."""
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({CHECKSUM_KEY: UNSEALED})
    return sealed(sink.getvalue())


def read_table(store: ObjectStore, key: str) -> pa.Table:
    """Return an object's table.

    Raises:
        DamagedError: the object is cut short, changed or not one of ours.
        StorageError: it is not there, or the store failed.
    """
    return read_table_bytes(store.read(key), f"{store.uri}/{key}")


def read_table_bytes(parquet: bytes, name: str) -> pa.Table:
    """Return the table of a sealed Parquet file's bytes; ``name`` is what messages call it.

    Without Arrow's threads: about one process in a hundred that ended soon after
    using them was aborted (https://github.com/apache/arrow/issues/34314), and a
    shard is too small to gain from them.
    """
    check_seal(parquet, name)
    try:
        with pq.ParquetFile(
            io.BytesIO(parquet), page_checksum_verification=True, pre_buffer=False
        ) as file:
            return file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise damaged(name, str(error).strip().split("\n")[0].rstrip(".")) from error
