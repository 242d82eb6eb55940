"""Two independent S3 servers on loopback, for every test that needs one: moto and rclone.

Import the fixtures into a ``conftest.py``. Both start once per session.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from msp.storage.store import ObjectStore, open_store

# rclone refuses keys of fewer than ten characters.
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key-of-no-account"
_START_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """A running server; its credentials are accepted, and on rclone no others are."""

    endpoint_url: str

    @property
    def env(self) -> dict[str, str]:
        """Environment in which boto3 finds this server's credentials, and nothing of the user's."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_bucket(self) -> str:
        """Return the name of a new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    @cached_property
    def client(self) -> Any:
        """A plain boto3 client with this server's credentials."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A moto server: it enforces If-None-Match as AWS does, and accepts any credentials."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An rclone server over a folder: it checks signatures, and ignores If-None-Match."""
    port, folder = _free_port(), tmp_path_factory.mktemp("rclone")
    (folder / "served").mkdir()
    program = Path(sys.executable).with_name("rclone")
    command = [str(program) if program.exists() else shutil.which("rclone") or "rclone"]
    command += ["serve", "s3", str(folder / "served"), "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull]
    with _running(command, port, folder) as server:
        yield server


def new_s3_store(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, *, prefix: str = "/runs/7"
) -> ObjectStore:
    """Return a store in a new bucket, with the server's credentials in the environment."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return open_store(f"s3://{server.new_bucket()}{prefix}", endpoint_url=server.endpoint_url)


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[S3Server]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait_until_it_listens(process, port, folder / "server.log")
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"{process.args} does not listen on {port}:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
