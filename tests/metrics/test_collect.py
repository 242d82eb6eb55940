from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.errors import DamagedError, StorageError
from msp.metrics.collect import SAMPLE_SIZE, diversity_metrics, generate_metrics, summarise_run
from msp.metrics.sample import NUM_PER_STRATUM, draw_keys
from msp.metrics.stored_tally import write_tally
from msp.metrics.tally import Tally
from msp.records import (
    CANDIDATES_SCHEMA,
    SYNTHETIC_SCHEMA,
    Candidate,
    Constraint,
    Example,
    Unit,
    synthetic_table,
    unit_row,
)
from msp.storage import layout
from msp.storage.damage import mending
from msp.storage.manifest import build_manifest
from msp.storage.parquet import read_table, table_bytes
from msp.storage.store import ObjectStore, open_store

SEEDS = [
    Example("s:1", "cancel it on friday", ("cancel",), {"date": ("friday",)}),
    Example("s:2", "hi, cancel it", ("greet", "cancel")),
]
NAN = math.nan


def judged(unit_id: int, index: int, text: str, reason: str | None, noise: float) -> Candidate:
    number = unit_id * 2**16 + index
    return Candidate(number, text, "", reason is None, reason, noise, 1 - noise, 0.5, 4, -1.0)


def a_unit(unit_id: int, seed: Example) -> Unit:
    constraint = Constraint(seed.attributes, seed.values, seed.domain)
    return Unit(unit_id, 0, "msp", seed.uid, constraint, (), 3, 0)


def write_shard(store: ObjectStore, shard: int, units: list[tuple[Unit, list[Candidate]]]) -> None:
    rows = [unit_row(unit, candidates) for unit, candidates in units]
    kept = synthetic_table(pa.Table.from_pylist(rows, schema=CANDIDATES_SCHEMA)).to_pylist()
    for key, found, schema in (
        (layout.candidates_key(0, shard), rows, CANDIDATES_SCHEMA),
        (layout.synthetic_key(0, shard), kept, SYNTHETIC_SCHEMA),
    ):
        store.write(key, table_bytes(found, schema))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """Two shards: 3 units, 6 candidates, 3 of them kept."""
    store = open_store(str(tmp_path / "run"))
    first = [
        judged(0, 0, "please cancel it Friday", None, 0.2),
        judged(0, 1, "cancel it", "missing_value", NAN),
        judged(0, 2, "fridays are nice", "off_topic", 0.91),
    ]
    second = [judged(1, 0, "hello, cancel", None, 0.25), judged(1, 1, "hey, cancel", None, 0.3)]
    write_shard(store, 0, [(a_unit(0, SEEDS[0]), first), (a_unit(1, SEEDS[1]), second)])
    write_shard(store, 1, [(a_unit(2, SEEDS[1]), [judged(2, 0, "", "empty", NAN)])])
    return store


def test_every_candidate_is_counted_once(store: ObjectStore) -> None:
    summary = summarise_run(store, SEEDS, seed=1)
    assert (summary.num_units, summary.num_candidates, summary.num_kept) == (3, 6, 3)
    assert dict(summary.num_dropped_by_reason) == {"missing_value": 1, "off_topic": 1, "empty": 1}
    assert summary.num_tokens == 24
    assert generate_metrics(summary, tokens_per_second=8.0, wall_seconds=3.0)["num_kept"] == 3


def test_kept_candidates_are_counted_by_label_slot_and_combination(store: ObjectStore) -> None:
    summary = summarise_run(store, SEEDS, seed=1)
    assert summary.kept_per_attribute == {"cancel": 3, "date": 1, "greet": 2}
    assert summary.kept_per_combination == {("greet", "cancel"): 2, ("cancel", "date"): 1}
    assert summary.seeds_per_attribute == {"cancel": 2, "date": 1, "greet": 1}


def test_scores_are_binned_and_unscored_candidates_are_in_no_bin(store: ObjectStore) -> None:
    summary = summarise_run(store, SEEDS, seed=1)
    assert sum(summary.noise_kept) == 3
    assert sum(summary.noise_dropped) == 1
    assert summary.noise_dropped[45] == 1  # 0.91 lies in [0.90, 0.92)


def test_asked_values_are_found_as_whole_words_in_any_case(store: ObjectStore) -> None:
    summary = summarise_run(store, SEEDS, seed=1)
    assert (summary.num_values_asked, summary.num_values_found) == (3, 1)


def test_a_small_run_is_sampled_whole_and_in_plan_order(store: ObjectStore) -> None:
    sample = summarise_run(store, SEEDS, seed=1).sample
    assert [row.text for row in sample][:2] == ["please cancel it Friday", "cancel it"]
    assert len(sample) == 6
    assert sample[0].values == {"date": ("friday",)}
    assert math.isnan(sample[1].noise_score)


def test_an_empty_store_gives_zeros(tmp_path: Path) -> None:
    empty = open_store(str(tmp_path / "empty"))
    summary = summarise_run(empty, [], seed=1)
    assert (summary.num_units, summary.num_candidates, summary.sample) == (0, 0, ())
    assert diversity_metrics(empty, [], seed=1)["synthetic"]["num_texts"] == 0


def test_diversity_reads_the_synthetic_examples(store: ObjectStore) -> None:
    measured = diversity_metrics(store, SEEDS, seed=1)
    assert (measured["seed"]["num_texts"], measured["synthetic"]["num_texts"]) == (2, 3)
    assert measured["synthetic"]["matched_size"] == 2


def test_a_damaged_object_is_named(store: ObjectStore) -> None:
    store.write(layout.candidates_key(0, 2), b"PAR1 but not really PAR1")
    with pytest.raises(StorageError, match=r"shard-0000002\.parquet: is damaged"):
        summarise_run(store, SEEDS, seed=1)


def test_a_foreign_parquet_object_is_named(store: ObjectStore) -> None:
    store.write("candidates/mine.parquet", table_bytes([{"x": 1}], pa.schema([("x", pa.int8())])))
    with pytest.raises(StorageError, match=r"candidates/mine\.parquet is no shard of a run"):
        summarise_run(store, SEEDS, seed=1)


def publish(store: ObjectStore) -> str:
    """Leave the tally in the store as publishing does; return the summary that was counted."""
    counted = repr(summarise_run(store, SEEDS, seed=1))
    tally = Tally(SAMPLE_SIZE, seed=1)
    for shard in (1, 0):
        tally.add_table(read_table(store, layout.candidates_key(0, shard)))
    write_tally(store, tally)
    build_manifest(store, [], fingerprint={})
    return counted


def test_the_summary_of_a_published_run_is_read_and_is_the_same(store: ObjectStore) -> None:
    counted = publish(store)
    store.write(layout.candidates_key(0, 0), b"not to be read")
    assert repr(summarise_run(store, SEEDS, seed=1)) == counted


def test_another_sample_than_the_stored_one_is_counted(store: ObjectStore) -> None:
    publish(store)
    stored = store.read(layout.SUMMARY_JSON)
    assert len(summarise_run(store, SEEDS, seed=1, sample_size=2).sample) == 2
    assert len(summarise_run(store, SEEDS, seed=2).sample) == 6
    assert store.read(layout.SUMMARY_JSON) == stored


def test_a_published_run_without_a_summary_gets_one(store: ObjectStore) -> None:
    counted = publish(store)
    stored = store.read(layout.SUMMARY_JSON)
    store.delete(layout.SUMMARY_JSON)
    assert repr(summarise_run(store, SEEDS, seed=1)) == counted
    assert store.read(layout.SUMMARY_JSON) == stored


def test_a_run_under_way_keeps_no_summary(store: ObjectStore) -> None:
    summarise_run(store, SEEDS, seed=1)
    assert not store.exists(layout.SUMMARY_JSON)


def test_a_damaged_summary_is_set_aside_and_counted_again(store: ObjectStore) -> None:
    counted = publish(store)
    stored = store.read(layout.SUMMARY_JSON)
    # Still JSON: only the checksum can tell.
    store.write(layout.SUMMARY_JSON, stored.replace(b'"units": 3', b'"units": 4'))
    with pytest.raises(DamagedError, match=r"state/summary\.json: is damaged"):
        summarise_run(store, SEEDS, seed=1)
    assert mending(store, lambda: repr(summarise_run(store, SEEDS, seed=1))) == counted
    assert store.read(layout.SUMMARY_JSON) == stored
    assert len(list(store.list(layout.DAMAGED_PREFIX))) == 1


def test_a_bounded_sample_shows_rare_reasons_and_does_not_depend_on_shards(tmp_path: Path) -> None:
    units = [(a_unit(i, SEEDS[i % 2]), [judged(i, 0, f"t {i}", None, 0.1)]) for i in range(400)]
    units[123] = (units[123][0], [judged(123, 0, "rare", "copy_of_seed", NAN)])
    samples = []
    for size in (50, 400):
        store = open_store(str(tmp_path / str(size)))
        for shard in range(400 // size):
            write_shard(store, shard, units[shard * size : (shard + 1) * size])
        samples.append(summarise_run(store, SEEDS, seed=1, sample_size=100).sample)
    assert [row.text for row in samples[0]] == [row.text for row in samples[1]]
    assert len(samples[0]) == 100
    assert "rare" in {row.text for row in samples[0]}
    assert len({row.seed_uid for row in samples[0]}) == 2
    assert NUM_PER_STRATUM < 100


@given(st.lists(st.integers(0, 2**47), min_size=2, unique=True), st.integers(0, 2**32))
def test_different_ids_get_different_keys(ids: list[int], seed: int) -> None:
    keys = draw_keys(np.array(ids), seed=seed)
    assert len(set(keys.tolist())) == len(ids)
