"""Tables as Parquet objects whose pages carry checksums, so that damage is named and not read."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from msp.errors import StorageError
from msp.storage.store import ObjectStore


def table_bytes(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """Return the rows as one Parquet file, zstd-compressed; the same rows give the same bytes."""
    sink = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema=schema)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def read_table(store: ObjectStore, key: str) -> pa.Table:
    """Return an object's table.

    Raises:
        StorageError: the object is missing, cut short or damaged.
    """
    return read_table_bytes(store.read(key), f"{store.uri}/{key}")


def read_table_bytes(parquet: bytes, name: str) -> pa.Table:
    """Return the table of a Parquet file's bytes; ``name`` is what messages call it."""
    try:
        return pq.read_table(io.BytesIO(parquet), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise StorageError(
            f"{name}: is damaged ({len(parquet)} bytes, {_first_line(error)}); remove it and run "
            "the same command again, which makes it anew."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
