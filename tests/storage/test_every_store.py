"""The contract of ObjectStore, on a folder, on moto and on rclone."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from msp.errors import StorageError
from msp.storage.store import ObjectStore, check_store

MEGABYTE = 1 << 20


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [found.key for found in store.list(prefix)]


def test_what_was_written_is_read_and_replaced(store: ObjectStore) -> None:
    assert not store.exists("a/b.json")
    store.write("a/b.json", b"first")
    store.write("a/b.json", b"")
    assert store.exists("a/b.json")
    assert store.read("a/b.json") == b""
    store.write("a/b.json", b"third")
    assert store.read("a/b.json") == b"third"


def test_an_absent_object_is_named(store: ObjectStore) -> None:
    with pytest.raises(StorageError, match=r"no/such\.json: is not there"):
        store.read("no/such.json")
    store.delete("no/such.json")
    assert not store.exists("no/such.json")


def test_a_deleted_object_is_gone(store: ObjectStore) -> None:
    store.write("a/b", b"x")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert keys(store) == []


def test_an_object_that_is_written_once_never_changes(store: ObjectStore) -> None:
    assert store.write_once("a/b", b"first") is True
    assert store.write_once("a/b", b"second") is False
    assert store.read("a/b") == b"first"


def test_of_eight_writers_at_once_exactly_one_is_first(strict_store: ObjectStore) -> None:
    for attempt in range(10):
        key, start = f"race/{attempt}", threading.Barrier(8)

        def race(
            writer: int, key: str = key, start: threading.Barrier = start
        ) -> tuple[bool, bytes]:
            data = bytes([writer]) * 1000
            start.wait()
            return strict_store.write_once(key, data), data

        with ThreadPoolExecutor(8) as pool:
            winners = [data for won, data in pool.map(race, range(8)) if won]
        assert winners == [strict_store.read(key)]


def test_an_empty_store_lists_nothing(store: ObjectStore) -> None:
    assert keys(store) == []
    assert keys(store, "candidates/") == []


def test_a_listing_is_sorted_by_key_and_limited_to_its_prefix(store: ObjectStore) -> None:
    written = ["a-b", "a/b", "a/c/d", "a.b", "ab", "b/round-000-x", "b/round-001-x", "B"]
    for key in written:
        store.write(key, key.encode())
    assert [(found.key, found.size) for found in store.list()] == sorted(
        (key, len(key)) for key in written
    )
    assert keys(store, "a/") == ["a/b", "a/c/d"]
    assert keys(store, "a") == ["a-b", "a.b", "a/b", "a/c/d", "ab"]
    assert keys(store, "b/round-000") == ["b/round-000-x"]
    assert keys(store, "c") == []


def test_a_listing_of_more_than_a_thousand_objects_is_whole(store: ObjectStore) -> None:
    written = [f"many/{number:05d}" for number in range(1005)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: store.write(key, b"x"), written))
    assert keys(store, "many/") == written
    assert keys(store) == written


def test_unicode_keys_come_back_as_they_were(store: ObjectStore) -> None:
    written = ["größe/日本語 mit Leerzeichen.json", "größe/a+b%20c&d=e#f?.txt", "😀"]
    for key in written:
        assert store.write_once(key, key.encode())
        assert not store.write_once(key, b"other")
    assert keys(store) == sorted(written)
    assert [store.read(key).decode() for key in written] == written


LEAVING = [
    "",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../../b",
    "a/..",
    ".",
    "./a",
    "a\0b",
    "a\nb",
    "\ud800",
]


def test_a_key_that_leaves_the_prefix_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    calls: list[Callable[[str], object]] = [
        lambda key: store.read(key),
        lambda key: store.write(key, b"x"),
        lambda key: store.write_once(key, b"x"),
        lambda key: store.exists(key),
        lambda key: store.delete(key),
        lambda key: store.upload(key, tmp_path / "file"),
        lambda key: store.download(key, tmp_path / "other"),
    ]
    for call, key in itertools.product(calls, LEAVING):
        with pytest.raises(StorageError, match="is no key"):
            call(key)
    assert keys(store) == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_listing_that_leaves_the_prefix_is_refused(store: ObjectStore) -> None:
    for prefix in ("/", "../", "a/../", "a//", "../a"):
        with pytest.raises(StorageError, match="is no prefix"):
            store.list(prefix)


def test_a_name_of_an_unfinished_file_is_no_key(store: ObjectStore) -> None:
    with pytest.raises(StorageError, match="unfinished"):
        store.write("a/b.msp-unfinished", b"x")


@pytest.mark.parametrize("once", [False, True])
def test_twenty_megabytes_go_there_and_back(store: ObjectStore, once: bool) -> None:
    data = os.urandom(20 * MEGABYTE)
    if once:
        assert store.write_once("large", data)
    else:
        store.write("large", data)
    assert store.read("large") == data
    assert [found.size for found in store.list()] == [len(data)]


@pytest.mark.parametrize("size", [0, 1000, 40 * MEGABYTE])
def test_files_are_uploaded_and_downloaded_whole(
    store: ObjectStore, tmp_path: Path, size: int
) -> None:
    data = os.urandom(size)
    (tmp_path / "from").write_bytes(data)
    store.upload("state/tune/file", tmp_path / "from")
    (tmp_path / "to").write_bytes(b"older and longer " * 100)
    store.download("state/tune/file", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == data == store.read("state/tune/file")


def test_a_download_that_fails_leaves_the_file_as_it_was(
    store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "to").write_bytes(b"older")
    with pytest.raises(StorageError, match="no/such: is not there"):
        store.download("no/such", tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["to"]
    assert (tmp_path / "to").read_bytes() == b"older"


def test_an_upload_of_a_missing_file_names_the_file(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing: is not there"):
        store.upload("a", tmp_path / "missing")
    assert keys(store) == []


def test_a_pickled_store_works_in_another_process(store: ObjectStore) -> None:
    store.write("a", b"from the parent")
    script = (
        "import pickle, sys; store = pickle.load(sys.stdin.buffer);"
        "assert store.read('a') == b'from the parent'; store.write('b', b'from the child')"
    )
    subprocess.run([sys.executable, "-c", script], input=pickle.dumps(store), check=True)
    assert store.read("b") == b"from the child"
    assert b"secret" not in pickle.dumps(store)


def test_a_check_leaves_nothing_behind(store: ObjectStore, tmp_path: Path) -> None:
    check_store(store)
    assert keys(store) == []
    assert list(tmp_path.iterdir()) == []
    store.write("a", b"x")
    check_store(store)
    assert keys(store) == ["a"]


UPLOAD = "import pickle, sys; pickle.load(sys.stdin.buffer).upload('a/large', sys.argv[1])"


def test_a_killed_writer_leaves_nothing_that_a_reader_sees(
    store: ObjectStore, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen([sys.executable, "-c", UPLOAD, str(pipe)], stdin=subprocess.PIPE)
    assert writer.stdin is not None
    writer.stdin.write(pickle.dumps(store))
    writer.stdin.close()
    with pipe.open("wb") as source:
        # More than a part and the pipe together hold, so the writer is in the middle of it.
        source.write(os.urandom(40 * MEGABYTE))
        writer.kill()
        writer.wait()
    assert keys(store) == []
    assert not store.exists("a/large")
    assert store.write_once("a/large", b"made by the next")
