"""What the whole run says is laid over the shards' verdicts, and the shards stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from msp.denoise.final import (
    DUPLICATES_SCHEMA,
    FinalVerdicts,
    cells,
    ranks,
    read_cutoffs,
    stream_final,
    write_cutoffs,
)
from msp.errors import StorageError
from msp.records import CANDIDATES_SCHEMA, Candidate, Constraint, Unit, unit_row
from msp.storage import layout
from msp.storage.parquet import table_bytes
from msp.storage.store import ObjectStore, open_store


def candidate(number: int, noise: float, reason: str | None = None) -> Candidate:
    return Candidate(number, f"text {number}", "", reason is None, reason, noise, 0.5, 0.5, 3, -1.0)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """One shard: two units of the combinations (a,) and (a, s), candidates 0-2 and 65536-65537."""
    store = open_store(str(tmp_path))
    units = [
        Unit(0, 0, "msp", "s", Constraint(("a",), {}, "d"), (), 3, 0),
        Unit(1, 0, "msp", "s", Constraint(("a",), {"s": ("x",)}, "d"), (), 2, 0),
    ]
    made = [
        [candidate(0, 0.3), candidate(1, 0.1), candidate(2, 0.2, "empty")],
        [candidate(65536, 0.4), candidate(65537, 0.2)],
    ]
    rows = [unit_row(unit, found) for unit, found in zip(units, made, strict=True)]
    store.write(layout.candidates_key(0, 0), table_bytes(rows, CANDIDATES_SCHEMA))
    return store


def verdicts(store: ObjectStore) -> dict[int, str | None]:
    (table,) = stream_final(store)
    assert table.schema == CANDIDATES_SCHEMA
    found = [c for unit in table["candidates"].to_pylist() for c in unit]
    assert all(c["kept"] == (c["reason"] is None) for c in found)
    return {c["candidate_id"]: c["reason"] for c in found}


def test_without_a_word_of_the_run_the_shards_word_stands(store: ObjectStore) -> None:
    expected = {0: None, 1: None, 2: "empty", 65536: None, 65537: None}
    assert verdicts(store) == expected


def test_a_duplicate_goes_and_what_was_dropped_before_keeps_its_reason(store: ObjectStore) -> None:
    gone = [{"candidate_id": i, "duplicate_of": 0} for i in (1, 2)]
    store.write(layout.duplicates_key(0, 0), table_bytes(gone, DUPLICATES_SCHEMA))
    assert verdicts(store) == {0: None, 1: "duplicate", 2: "empty", 65536: None, 65537: None}


def test_of_a_combination_the_least_noisy_stay_and_one_without_a_cutoff_goes(
    store: ObjectStore,
) -> None:
    limit = int(ranks(np.array([0.1], dtype=np.float32), np.array([1]))[0])
    write_cutoffs(store, {("a",): limit})
    assert read_cutoffs(store) == {("a",): limit}
    assert verdicts(store) == {
        0: "surplus",
        1: None,
        2: "empty",
        65536: "surplus",
        65537: "surplus",
    }


def test_a_units_combination_has_its_slots(store: ObjectStore) -> None:
    assert cells(FinalVerdicts(store).read(0, 0)) == [("a",), ("a", "s")]


def test_ranks_order_by_noise_first_and_never_tie() -> None:
    ids = np.arange(2000) * 65536
    same = ranks(np.full(2000, 0.25, dtype=np.float32), ids)
    assert len(set(same.tolist())) == 2000
    assert ranks(np.array([0.26]), ids[:1])[0] > same.max()
    assert same.max() < 2**63
    # The lot has nothing to do with the place in the plan.
    assert abs(np.corrcoef(np.argsort(same), np.arange(2000))[0, 1]) < 0.1


def test_a_shard_that_is_gone_is_named(store: ObjectStore) -> None:
    with pytest.raises(StorageError, match="shard-0000007"):
        FinalVerdicts(store).read(0, 7)
