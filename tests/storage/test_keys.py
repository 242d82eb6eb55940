"""No key leaves the output, however it is spelt, and no link leads out of a local one."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msp.errors import StorageError, StoreAccessError
from msp.storage.keys import checked_key, checked_prefix
from msp.storage.store import open_store

DOTS_AND_SLASHES = [
    "/",
    ".",
    "..",
    "\\",
    "%2e",
    "%2F",
    "\uff0e",
    "\uff0f",
    "\u2025",
    "\0",
    "\u202e",
]
SPELLINGS = st.lists(
    st.one_of(st.sampled_from(DOTS_AND_SLASHES), st.text(max_size=3)), max_size=8
).map("".join)


@given(SPELLINGS)
@example("a/%2e%2e/b")
@example("\uff0e\uff0e/etc/passwd")
@example("a\u2025/../b")
@example("..%2f..%2fetc")
@example("a/./b")
def test_what_is_accepted_stays_inside_in_every_reading(key: str) -> None:
    try:
        accepted = checked_key("out", key)
    except StorageError:
        return
    assert accepted == key
    for reading in (key, unquote(key), unicodedata.normalize("NFKC", unquote(key))):
        path = os.path.normpath(os.path.join("/srv/out", reading))
        assert path.startswith("/srv/out/")
        assert path.count("/") == len(key.split("/")) + 2
        assert "\\" not in reading and "\0" not in reading


@given(SPELLINGS)
def test_a_prefix_that_is_accepted_names_no_folder_outside(prefix: str) -> None:
    try:
        folder = checked_prefix("out", prefix).rpartition("/")[0]
    except StorageError:
        return
    assert os.path.normpath(os.path.join("/srv/out", folder)).startswith("/srv/out")


@pytest.mark.parametrize(
    "key", ["a\\b", "a/%2e%2e/b", "a%2fb", "\uff0e\uff0e/a", "a\uff0fb", "a\u202eb", "a\u200b"]
)
def test_a_disguised_way_out_is_refused(key: str) -> None:
    with pytest.raises(StorageError, match="is no key"):
        checked_key("out", key)


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_letters_of_any_script_are_accepted(name: str) -> None:
    # A few letters are abbreviations with a slash inside, such as that for "care of".
    if "/" not in unicodedata.normalize("NFKC", name):
        assert checked_key("out", f"state/{name}.json")


@pytest.mark.parametrize("target", ["outside", "out/inside"])
def test_a_link_below_the_output_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / target).mkdir(parents=True)
    (tmp_path / target / "secret").write_bytes(b"x")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "a").symlink_to(tmp_path / target)
    (tmp_path / "out" / "b").symlink_to(tmp_path / target / "secret")
    store = open_store(str(tmp_path / "out"))
    for key in ("a/secret", "b", "a/new"):
        for call in (
            lambda key=key: store.read(key),
            lambda key=key: store.write(key, b"y"),
            lambda key=key: store.write_once(key, b"y"),
            lambda key=key: store.replace(key, b"y", expected=b"x"),
            lambda key=key: store.exists(key),
            lambda key=key: store.delete(key),
            lambda key=key: store.upload(key, tmp_path / target / "secret"),
            lambda key=key: store.download(key, tmp_path / "copy"),
        ):
            with pytest.raises(StoreAccessError, match="is a symbolic link"):
                call()
    for prefix in ("", "a/", "a/s"):
        with pytest.raises(StoreAccessError, match="is a symbolic link"):
            list(store.list(prefix))
    assert [path.name for path in (tmp_path / target).iterdir()] == ["secret"]
    assert (tmp_path / target / "secret").read_bytes() == b"x"


def test_the_output_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    store = open_store(str(tmp_path / "out"))
    store.write("a/b", b"x")
    assert [found.key for found in store.list()] == ["a/b"]
    assert (tmp_path / "disk" / "a" / "b").read_bytes() == b"x"
