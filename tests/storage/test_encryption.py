"""What is asked for with every write to S3: encryption at rest, seen by the server."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError
from servers import S3Server

from msp.config import RunConfig
from msp.storage.store import ObjectStore, open_run_store

TASK = {"name": "jsonl", "path": "sample:front_desk"}


def run_config(server: S3Server, bucket: str, **cluster: object) -> RunConfig:
    endpoint = {"s3_endpoint_url": server.endpoint_url}
    return RunConfig.model_validate(
        {
            "output_uri": f"s3://{bucket}/runs/7",
            "task": TASK,
            "cluster": {**endpoint, **cluster},
        }
    )


def write_in_every_way(store: ObjectStore, folder: Path) -> list[str]:
    store.write("small", b"x")
    store.write("large", os.urandom(20 << 20))
    assert store.write_once("once", b"x")
    store.write("replaced", b"x")
    assert store.replace("replaced", b"y", expected=b"x")
    for name, size in (("file", 10), ("large-file", 20 << 20)):
        (folder / name).write_bytes(os.urandom(size))
        store.upload(name, folder / name)
    pickle.loads(pickle.dumps(store)).write("from-a-worker", b"x")
    return [found.key for found in store.list()]


@pytest.mark.parametrize("key_id", [None, "arn:aws:kms:us-east-1:123456789012:key/planted"])
@pytest.mark.parametrize("kind", ["none", "AES256", "aws:kms"])
def test_every_object_is_encrypted_as_asked(
    kind: str,
    key_id: str | None,
    moto_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if key_id and kind != "aws:kms":
        pytest.skip("a key belongs to aws:kms")
    for name, value in moto_server.env.items():
        monkeypatch.setenv(name, value)
    bucket = moto_server.new_bucket()
    config = run_config(moto_server, bucket, s3_sse=kind, s3_sse_kms_key_id=key_id)
    keys = write_in_every_way(open_run_store(config), tmp_path)
    assert len(keys) == 7
    for key in keys:
        found = moto_server.client.head_object(Bucket=bucket, Key=f"runs/7/{key}")
        assert found.get("ServerSideEncryption") == (None if kind == "none" else kind), key
        assert found.get("SSEKMSKeyId") == key_id, key


def test_a_key_without_kms_is_refused(moto_server: S3Server) -> None:
    with pytest.raises(ValidationError, match=r"s3_sse_kms_key_id is set, but cluster\.s3_sse is"):
        run_config(moto_server, "b", s3_sse="AES256", s3_sse_kms_key_id="k")


def test_encryption_is_no_part_of_what_defines_a_run(moto_server: S3Server) -> None:
    plain = run_config(moto_server, "b")
    assert run_config(moto_server, "b", s3_sse="AES256").defining() == plain.defining()
