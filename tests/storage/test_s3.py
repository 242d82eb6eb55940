"""What holds for S3 alone: who may write, what is missing, and that no message tells a secret."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys

import pytest
from cutting_proxy import cutting_proxy
from servers import ACCESS_KEY, SECRET_KEY, S3Server, new_s3_store

from msp.errors import ConfigError, StorageError, StoreAccessError
from msp.storage.store import check_store, open_store


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    found: S3Server = request.getfixturevalue(f"{request.param}_server")
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    return found


def test_a_missing_bucket_is_named(server: S3Server) -> None:
    store = open_store("s3://no-such-bucket/runs/7", endpoint_url=server.endpoint_url)
    calls = [
        lambda: check_store(store),
        lambda: store.exists("a"),
        lambda: store.read("a"),
        lambda: list(store.list()),
    ]
    for call in calls:
        with pytest.raises(StoreAccessError, match=r"'no-such-bucket' at http://\S+ is not there"):
            call()


def test_a_prefix_may_be_empty(server: S3Server) -> None:
    bucket = server.new_bucket()
    for uri in (f"s3://{bucket}", f"s3://{bucket}/"):
        store = open_store(uri, endpoint_url=server.endpoint_url)
        assert store.uri == f"s3://{bucket}"
        store.write("a/b", b"x")
        assert [found.key for found in store.list()] == ["a/b"]


def test_runs_with_names_that_begin_alike_do_not_see_each_other(server: S3Server) -> None:
    bucket = server.new_bucket()
    for run in ("7", "77"):
        store = open_store(f"s3://{bucket}/runs/{run}", endpoint_url=server.endpoint_url)
        store.write("a", run.encode())
        assert [(found.key, found.size) for found in store.list()] == [("a", len(run))]


def test_a_folder_that_a_console_made_is_no_object(moto_server: S3Server, server: S3Server) -> None:
    bucket = moto_server.new_bucket()
    moto_server.client.put_object(Bucket=bucket, Key="run/candidates/", Body=b"")
    store = open_store(f"s3://{bucket}/run", endpoint_url=moto_server.endpoint_url)
    store.write("candidates/a", b"x")
    assert [found.key for found in store.list()] == ["candidates/a"]


@pytest.mark.parametrize(
    ("variable", "wrong"),
    [("AWS_ACCESS_KEY_ID", "wrong-access-key"), ("AWS_SECRET_ACCESS_KEY", "wrong-secret-key")],
)
def test_wrong_credentials_are_named_and_not_shown(
    rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch, variable: str, wrong: str
) -> None:
    store = new_s3_store(rclone_server, monkeypatch)
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(StoreAccessError, match="AWS_PROFILE") as caught:
        check_store(store)
    for secret in (wrong, ACCESS_KEY, SECRET_KEY):
        assert secret not in f"{caught.value} {caught.value.__cause__}"


def test_missing_credentials_are_named(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_s3_store(moto_server, monkeypatch)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    with pytest.raises(StoreAccessError, match=r"no usable credentials .* AWS_ACCESS_KEY_ID"):
        check_store(store)
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(StoreAccessError, match="no usable credentials"):
        store.exists("a")


def test_an_endpoint_that_nobody_listens_on_is_named(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_s3_store(moto_server, monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(StoreAccessError, match=f"cannot connect to .* at {url}"):
            check_store(open_store("s3://some-bucket/x", endpoint_url=url))


def test_a_uri_with_credentials_is_refused_and_not_repeated() -> None:
    for uri, endpoint_url in [
        ("s3://key:hidden@bucket/x", None),
        ("s3://bucket/x?secret=hidden", None),
        ("s3://bucket/x", "https://key:hidden@host"),
    ]:
        with pytest.raises(ConfigError, match="AWS_PROFILE") as caught:
            open_store(uri, endpoint_url=endpoint_url)
        assert "hidden" not in str(caught.value)


def test_a_uri_that_names_no_place_is_refused(moto_server: S3Server) -> None:
    with pytest.raises(ConfigError, match="without a bucket"):
        open_store("s3:///x")
    with pytest.raises(ConfigError, match="http://"):
        open_store("s3://bucket/x", endpoint_url="host:9000")
    with pytest.raises(StorageError, match="is no key"):
        open_store("s3://bucket/a/../../b")
    store = open_store("s3://Not A Bucket/x", endpoint_url=moto_server.endpoint_url)
    with pytest.raises(StoreAccessError, match="cannot exist"):
        check_store(store)


FORK = """
import os, pickle, sys

store = pickle.load(sys.stdin.buffer)
for number in range(4):
    store.write(str(number), bytes([number]) * 10_000)
for number in range(4):
    if os.fork() == 0:
        try:
            whole = [store.read(str(number)) == bytes([number]) * 10_000 for _ in range(25)]
            os._exit(0 if all(whole) else 1)
        finally:
            os._exit(2)
assert [os.wait()[1] for _ in range(4)] == [0, 0, 0, 0]
"""


def test_forked_processes_do_not_share_connections(
    rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Unlike moto, rclone keeps connections open, which is when sharing them does harm.
    store = new_s3_store(rclone_server, monkeypatch)
    subprocess.run([sys.executable, "-c", FORK], input=pickle.dumps(store), check=True)


def test_a_broken_answer_is_read_again(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_s3_store(moto_server, monkeypatch)
    store.write("a", b"x" * 200_000)
    with cutting_proxy(moto_server, cut_answers=2) as url:
        through = open_store(store.uri, endpoint_url=url)
        assert through.read("a") == b"x" * 200_000
    with cutting_proxy(moto_server, cut_answers=99) as url:
        through = open_store(store.uri, endpoint_url=url)
        with pytest.raises(StorageError, match=r"runs/7/a: bucket .* failed"):
            through.read("a")
