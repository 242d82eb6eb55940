"""Tables survive the store, and a damaged one is named and never read."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from msp.errors import DamagedError, StorageError
from msp.records import CANDIDATES_SCHEMA, synthetic_table
from msp.storage.parquet import arrow_bytes, read_table, read_table_bytes, table_bytes
from msp.storage.seal import check_seal
from msp.storage.store import open_store


def unit(id: int = 1, text: str = "wake me at 7", num_candidates: int = 2) -> dict[str, object]:
    candidate = {"text": text, "target": "t", "noise_score": 0.5, "similarity": 0.5}
    candidate |= {"attribute_overlap": 0.5, "num_tokens": 3, "logprob": -1.5}
    candidate |= {"relabelled": "wake_up", "replaced": False}
    return {
        "id": id,
        "round": 0,
        "method": "msp",
        "seed_uid": "s",
        "domain": "hotels",
        "attributes": ["wake_up"],
        "values": [("time", ["7"])],
        "mix": {"attribute": "breakfast", "alpha": 0.75},
        "growth": {"parent": 3, "depth": 1, "chain": 0},
        "candidates": [
            {**candidate, "candidate_id": i, "kept": i == 0, "reason": None if i == 0 else "empty"}
            for i in range(num_candidates)
        ],
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text()), max_size=5))
def test_rows_come_back_as_they_were(drawn: list[tuple[int, str]]) -> None:
    rows = [unit(id, text) for id, text in drawn]
    parquet = table_bytes(rows, CANDIDATES_SCHEMA)
    assert read_table_bytes(parquet, "x").to_pylist() == rows
    assert read_table_bytes(parquet, "x").schema == CANDIDATES_SCHEMA
    assert table_bytes(rows, CANDIDATES_SCHEMA) == parquet


def test_columns_are_compressed_with_zstd(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(table_bytes([unit()], CANDIDATES_SCHEMA))
    group = pq.ParquetFile(tmp_path / "a").metadata.row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}


def test_a_damaged_object_is_named_wherever_the_damage_is(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    whole = table_bytes([unit(i, f"text {i}") for i in range(50)], CANDIDATES_SCHEMA)
    column = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(0).column(0)
    middle = column.dictionary_page_offset + column.total_compressed_size - 1  # in a page
    for damaged in (
        b"",
        b"<html>",
        whole[:-1],
        whole[: len(whole) // 2],
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    ):
        store.write("candidates/a.parquet", damaged)
        with pytest.raises(StorageError, match=rf"{tmp_path}/candidates/a\.parquet: is damaged"):
            read_table(store, "candidates/a.parquet")
    with pytest.raises(StorageError, match="is not there"):
        read_table(store, "candidates/b.parquet")


def test_the_kept_rows_open_as_a_data_set(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    units = pa.Table.from_pylist([unit()], schema=CANDIDATES_SCHEMA)
    store.write("synthetic/a.parquet", arrow_bytes(synthetic_table(units)))
    files = str(tmp_path / "synthetic" / "*.parquet")
    opened = load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert opened["train"]["text"][:] == ["wake me at 7"]


def test_every_flipped_bit_and_every_cut_is_found() -> None:
    whole = table_bytes([unit(i, f"text {i}") for i in range(3)], CANDIDATES_SCHEMA)
    check_seal(whole, "x")
    for i in range(len(whole)):
        flipped = whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :]
        for damaged in (flipped, whole[:i]):
            with pytest.raises(DamagedError, match="x: is damaged"):
                check_seal(damaged, "x")
