"""Who sees a manifest sees a whole data set, and damage to it is named."""

from __future__ import annotations

import hashlib
import json

import pytest

from msp.errors import StorageError
from msp.storage.layout import MANIFEST, synthetic_key
from msp.storage.manifest import ManifestFile, build_manifest, read_manifest, verify_manifest
from msp.storage.run_record import open_run
from msp.storage.store import ObjectStore


def publish(store: ObjectStore, num_files: int = 3) -> list[ManifestFile]:
    entries = []
    for shard in range(num_files):
        data = f"shard {shard}".encode()
        store.write(synthetic_key(0, shard), data)
        digest = hashlib.sha256(data).hexdigest()
        entries.append(ManifestFile(synthetic_key(0, shard), shard + 1, len(data), digest))
    return entries


def test_a_manifest_lists_files_rows_and_the_run(store: ObjectStore) -> None:
    open_run(store, config={}, fingerprint={"seed": "abc"}, versions={})
    entries = publish(store)
    assert build_manifest(store, iter(entries)) == 6
    manifest = read_manifest(store)
    assert manifest.files == tuple(entries)
    assert (manifest.num_rows, manifest.fingerprint) == (6, {"seed": "abc"})
    assert verify_manifest(store) == manifest
    assert set(json.loads(store.read(MANIFEST))) == {"fingerprint", "num_rows", "files"}


def test_an_empty_data_set_has_a_manifest(local_store: ObjectStore) -> None:
    assert build_manifest(local_store, [], fingerprint={}) == 0
    assert read_manifest(local_store).files == ()
    verify_manifest(local_store)


def test_the_same_entries_give_the_same_bytes(local_store: ObjectStore) -> None:
    entries = publish(local_store)
    build_manifest(local_store, entries, fingerprint={"a": "1", "b": "2"})
    first = local_store.read(MANIFEST)
    build_manifest(local_store, entries, fingerprint={"b": "2", "a": "1"})
    assert local_store.read(MANIFEST) == first


def test_a_failure_among_the_entries_leaves_no_manifest(local_store: ObjectStore) -> None:
    def failing():  # type: ignore[no-untyped-def]
        yield publish(local_store)[0]
        raise StorageError("a shard is gone")

    with pytest.raises(StorageError, match="a shard is gone"):
        build_manifest(local_store, failing(), fingerprint={})
    with pytest.raises(StorageError, match="the data set is not finished"):
        read_manifest(local_store)


def test_a_missing_or_damaged_object_is_named(store: ObjectStore) -> None:
    entries = publish(store)
    build_manifest(store, entries, fingerprint={})
    key = entries[1].key
    whole = store.read(key)
    for data, fault in [
        (whole[:-1], "has 6 bytes, but 7 in the manifest"),
        (b"SHARD 1", "is damaged: its sha256"),
    ]:
        store.write(key, data)
        with pytest.raises(StorageError, match=f"{key}: {fault}"):
            verify_manifest(store)
    store.delete(key)
    with pytest.raises(StorageError, match=f"{key}: is in the manifest, but is not there"):
        verify_manifest(store)


def test_a_damaged_manifest_is_named(local_store: ObjectStore) -> None:
    build_manifest(local_store, publish(local_store), fingerprint={})
    whole = local_store.read(MANIFEST)
    for damaged in (
        b"",
        whole[:-20],
        b"[]",
        b"{}",
        b"\xff",
        whole.replace(b'"num_rows": 6', b'"num_rows": 7'),
        whole.replace(b'"sha256"', b'"md5"'),
    ):
        assert damaged != whole
        local_store.write(MANIFEST, damaged)
        with pytest.raises(StorageError, match=r"synthetic/manifest\.json: is damaged"):
            read_manifest(local_store)
