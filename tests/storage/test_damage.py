"""Damage is found by checksum, named, set aside and made again; what is whole stays."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pytest

from msp.errors import DamagedError, StorageError
from msp.storage import layout
from msp.storage.damage import check_prompts, mending, read_json, set_aside_damaged
from msp.storage.manifest import ManifestFile, build_manifest
from msp.storage.parquet import read_table, table_bytes
from msp.storage.store import ObjectStore

SCHEMA = pa.schema([("id", pa.int64())])
NUM_SHARDS = 20


def shard_bytes(shard: int) -> bytes:
    return table_bytes([{"id": shard * 10 + k} for k in range(10)], SCHEMA)


def make_what_is_missing(store: ObjectStore) -> list[int]:
    """Do as a run does: commit missing shards, publish without a manifest, return all ids."""
    for shard in range(NUM_SHARDS):
        store.write_once(layout.candidates_key(0, shard), shard_bytes(shard))
    if not store.exists(layout.MANIFEST):
        build_manifest(store, [published(store, s) for s in range(NUM_SHARDS)], fingerprint={})
    keys = [layout.synthetic_key(0, shard) for shard in range(NUM_SHARDS)]
    return [id for key in keys for id in read_table(store, key)["id"].to_pylist()]


def published(store: ObjectStore, shard: int) -> ManifestFile:
    table = read_table(store, layout.candidates_key(0, shard))
    data = table_bytes(table.to_pylist(), SCHEMA)
    key = layout.synthetic_key(0, shard)
    store.write(key, data)
    return ManifestFile(key, table.num_rows, len(data), hashlib.sha256(data).hexdigest())


def damage(store: ObjectStore, key: str) -> None:
    """Flip one bit of an object, or halve it, as the key's length has it."""
    data = store.read(key)
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    store.write(key, flipped if len(key) % 2 else data[:middle])


@pytest.mark.parametrize(
    "keys",
    [
        [layout.candidates_key(0, 3), layout.candidates_key(0, 19)],
        [layout.synthetic_key(0, 7)],
        [layout.candidates_key(0, 0), layout.synthetic_key(0, 0)],
    ],
)
def test_what_is_damaged_is_named_set_aside_and_made_again(
    store: ObjectStore, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    unbroken = make_what_is_missing(store)
    before = {info.key: store.read(info.key) for info in store.list()}
    for key in keys:
        damage(store, key)
    if not any(key.startswith("synthetic/") for key in keys):
        store.delete(layout.MANIFEST)
    damaged = {key: store.read(key) for key in keys}
    assert mending(store, lambda: make_what_is_missing(store)) == unbroken
    assert {key: store.read(key) for key in before} == before
    for key in keys:
        digest = hashlib.sha256(damaged[key]).hexdigest()
        assert store.read(layout.damaged_key(key, digest)) == damaged[key]
        assert f"{store.uri}/{key} is damaged" in capsys.readouterr().err or key != keys[0]


def test_a_damaged_candidate_does_not_unpublish_what_is_whole(local_store: ObjectStore) -> None:
    make_what_is_missing(local_store)
    damage(local_store, layout.candidates_key(0, 5))
    assert set_aside_damaged(local_store) == [layout.candidates_key(0, 5)]
    assert local_store.exists(layout.MANIFEST)


def test_a_missing_synthetic_object_unpublishes_the_data_set(local_store: ObjectStore) -> None:
    make_what_is_missing(local_store)
    local_store.delete(layout.synthetic_key(0, 5))
    assert set_aside_damaged(local_store) == [layout.MANIFEST]


@pytest.mark.parametrize("key", [layout.progress_key("generate"), layout.METRICS_JSON])
def test_a_damaged_note_is_set_aside(local_store: ObjectStore, key: str) -> None:
    local_store.write(key, b'{"done_units": 12')

    def read_or_begin() -> object:
        return read_json(local_store, key) if local_store.exists(key) else "begun"

    assert mending(local_store, read_or_begin) == "begun"
    assert not local_store.exists(key)


def test_what_cannot_be_made_again_is_not_touched(local_store: ObjectStore) -> None:
    local_store.write(layout.RUN_JSON, b"half")
    local_store.write("student/augmented/seed-13.json", b"half")
    with pytest.raises(DamagedError, match=r"run\.json: is damaged"):
        mending(local_store, lambda: read_json(local_store, layout.RUN_JSON))
    assert local_store.read(layout.RUN_JSON) == b"half"


def test_damage_that_comes_back_ends_the_run(local_store: ObjectStore) -> None:
    def read_from_a_broken_disk() -> object:
        local_store.write(layout.METRICS_JSON, b"{")
        return read_json(local_store, layout.METRICS_JSON)

    with pytest.raises(DamagedError, match=r"metrics\.json"):
        mending(local_store, read_from_a_broken_disk)


def test_a_store_that_fails_is_not_damage(local_store: ObjectStore) -> None:
    make_what_is_missing(local_store)
    with pytest.raises(StorageError, match="is not there"):
        mending(local_store, lambda: local_store.read("no/such"))
    assert not list(local_store.list(layout.DAMAGED_PREFIX))


def test_prompts_whose_tensors_are_others_are_set_aside_with_their_description(
    local_store: ObjectStore,
) -> None:
    tensors = b"some tensors"
    digest = hashlib.sha256(tensors).hexdigest()
    local_store.write(layout.PROMPTS_TENSORS, tensors)
    local_store.write(layout.PROMPTS_JSON, json.dumps({"sha256": digest}).encode())
    check_prompts(local_store)
    assert set_aside_damaged(local_store) == []
    local_store.write(layout.PROMPTS_TENSORS, b"some tensort")
    with pytest.raises(DamagedError, match=r"prompts\.safetensors: is damaged"):
        check_prompts(local_store)
    assert set_aside_damaged(local_store) == [layout.PROMPTS_JSON, layout.PROMPTS_TENSORS]
    assert not local_store.exists(layout.PROMPTS_JSON)
