"""One store of each kind, empty, for the tests that hold for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from servers import moto_server, new_s3_store, rclone_server

from msp.storage.store import ObjectStore, open_store

__all__ = ["moto_server", "rclone_server"]


@pytest.fixture(params=["local", "moto", "rclone"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    """An empty store with a prefix, on a folder and on either server."""
    if request.param == "local":
        return open_store(str(tmp_path / "out"))
    return new_s3_store(request.getfixturevalue(f"{request.param}_server"), monkeypatch)


@pytest.fixture(params=["local", "moto"])
def strict_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    """The same where conditional writes are enforced, which rclone does not."""
    if request.param == "local":
        return open_store(str(tmp_path / "out"))
    return new_s3_store(request.getfixturevalue("moto_server"), monkeypatch)


@pytest.fixture
def local_store(tmp_path: Path) -> ObjectStore:
    """An empty store on a folder, where the kind of store makes no difference."""
    return open_store(str(tmp_path / "out"))
