"""What holds for a folder alone: full disks, refused places, and how a path is written."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from msp.errors import ConfigError, StorageError, StoreAccessError
from msp.storage.store import check_store, open_store

WRITE_UNDER_A_LIMIT = """
import os, resource, sys
from msp.errors import StorageError
from msp.storage.store import open_store

store = open_store(sys.argv[1])
store.write("a/old", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for write in (store.write, store.write_once):
    for key in ("a/old", "a/new"):
        try:
            first = write(key, bytes(3 << 20))
            assert first is False, "written beyond the limit"
        except StorageError as error:
            print(error)
print([found.key for found in store.list()], store.read("a/old"), os.listdir(sys.argv[1] + "/a"))
"""

WRITE_TO_A_FULL_DISK = """
set -e
mount -t tmpfs -o size=1m tmpfs "$1"
exec "$2" -c '
import os, sys
from msp.errors import StorageError
from msp.storage.store import open_store

store = open_store(sys.argv[1])
store.write("a/old", bytes(500_000))
for write in (store.write, store.write_once):
    try:
        write("a/new", bytes(700_000))
    except StorageError as error:
        print(type(error).__name__, error)
print([(found.key, found.size) for found in store.list()], os.listdir(sys.argv[1] + "/a"))
' "$1"
"""


def test_a_file_size_limit_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_UNDER_A_LIMIT, str(tmp_path / "out")]
    *errors, last = subprocess.check_output(command, text=True).splitlines()
    assert len(errors) == 3  # write_once sees that a/old is there
    assert all("full" in error and "run the same command again" in error for error in errors)
    assert errors[0].startswith(f"{tmp_path}/out/a/old: cannot be written")
    assert last == "['a/old'] b'old' ['old']"


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no mount namespace, which a small tmpfs needs")
    command = [unshare, "-rm", "sh", "-c", WRITE_TO_A_FULL_DISK, "sh", str(tmp_path)]
    output = subprocess.check_output([*command, sys.executable], text=True)
    *errors, last = output.splitlines()
    assert [error.split(" ")[:2] for error in errors] == [
        ["StorageError", f"{tmp_path}/a/new:"]
    ] * 2
    assert all("No space left on device" in error for error in errors)
    assert last == "[('a/old', 500000)] ['old']"


def test_a_path_is_written_in_any_of_three_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, uri in enumerate([str(tmp_path / "o 1"), "o 1", f"file://{tmp_path}/o%201"]):
        store = open_store(uri)
        assert store.uri == str(tmp_path / "o 1")
        store.write(f"a/{number}", b"x")
    assert len(list((tmp_path / "o 1" / "a").iterdir())) == 3


def test_a_relative_path_stays_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("out")
    monkeypatch.chdir("/")
    store.write("a", b"x")
    assert (tmp_path / "out" / "a").read_bytes() == b"x"


def test_another_scheme_names_what_is_allowed() -> None:
    for uri in ("gs://bucket/x", "https://host/x", "hdfs:///x"):
        with pytest.raises(ConfigError, match="allowed are a path, file:///path and s3://"):
            open_store(uri)
    for uri in ("", "  ", "a\0b"):
        with pytest.raises(ConfigError, match="name a folder"):
            open_store(uri)
    for uri in ("file://host/x", "file://relative", "file:///x?version=1"):
        with pytest.raises(ConfigError, match="file:///absolute/path"):
            open_store(uri)


def test_a_file_where_the_folder_must_be_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for uri in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(StoreAccessError, match="a file is where a folder must be") as caught:
            check_store(open_store(str(uri)))
        assert caught.value.exit_status == 2
        assert list(open_store(str(uri)).list()) == []


def test_a_folder_that_may_not_be_made_is_the_users_to_mend() -> None:
    # /proc takes no folders, not even from root.
    with pytest.raises(StoreAccessError, match="/proc/msp-run"):
        check_store(open_store("/proc/msp-run"))


def test_a_check_removes_the_folders_that_it_made_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    check_store(open_store(str(tmp_path / "mine")))
    check_store(open_store(str(tmp_path / "mine" / "a" / "b")))
    assert (tmp_path / "mine").is_dir()
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_leftover_of_a_killed_writer_is_in_no_listing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("a/b", b"x")
    (tmp_path / "a" / "0123abcd.msp-unfinished").write_bytes(b"half")
    assert [found.key for found in store.list()] == ["a/b"]


def test_a_folder_at_an_objects_name_is_no_object(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("a/b", b"x")
    assert not store.exists("a")
    for write in (store.write, store.write_once):
        with pytest.raises(StorageError):
            write("a", b"y")
    assert [found.key for found in store.list()] == ["a/b"]


def test_files_have_the_permissions_that_the_user_asked_for(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    open_store(str(tmp_path)).write("object", b"x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "object")]
    assert modes[0] == modes[1]
