"""Objects in an S3 bucket: AWS, or a server that speaks its protocol.

Credentials come from boto3's standard chain only (environment, profile, role),
so no config and no message ever holds them.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from msp.errors import StorageError
from msp.storage.keys import checked_key, checked_prefix
from msp.storage.s3_errors import error_code, s3_explained
from msp.storage.store import S3_TIMEOUT_SECONDS, Encryption, ObjectInfo
from msp.storage.whole_files import explained, whole_file

# One PUT up to here, parts of this size in parallel beyond it.
_PART_BYTES = 16 << 20
_NUM_TRIES = 4
# Answered within milliseconds or not at all; the retries outlast a server's restart.
_NUM_ATTEMPTS = 6
_CONNECT_SECONDS = 10.0
_NUM_CONNECTIONS = 32

# botocore retries requests, but not the reading of an answer's body.
_BROKEN_BODY = (
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
    ConnectionClosedError,
)
_MISSING = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"412", "PreconditionFailed"}
_CONFLICT = {"409", "ConditionalRequestConflict"}


class S3Store:
    """An ObjectStore over ``s3://bucket/prefix``.

    Args:
        bucket: its name; it must exist.
        prefix: what all keys begin with, without slashes at its ends; may be empty.
        endpoint_url: of a server that is not AWS; None leaves it to the AWS settings.
        encryption: asked for with every write.
        timeout_seconds: how long an answer may take before the request is sent again.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        encryption: Encryption | None = None,
        timeout_seconds: float = S3_TIMEOUT_SECONDS,
    ) -> None:
        self._bucket, self._endpoint_url = bucket, endpoint_url
        self._timeout_seconds = timeout_seconds
        self._write_options = encryption.write_options if encryption else {}
        if prefix:
            checked_key(f"s3://{bucket}", prefix)
        self._root = f"{prefix}/" if prefix else ""
        self._forget_client()

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._root}".rstrip("/")

    def read(self, key: str) -> bytes:
        """Return the object's bytes; a broken connection is tried again."""
        place = self._place(key)
        with self._explained(key):
            for _ in range(_NUM_TRIES - 1):
                try:
                    return self._read_once(place)[0]
                except _BROKEN_BODY:
                    continue
            return self._read_once(place)[0]

    def write(self, key: str, data: bytes) -> None:
        """Replace the object at once, in parts where it is large."""
        place = self._place(key)
        with self._explained(key):
            if len(data) <= _PART_BYTES:
                self._put(place, data)
            else:
                self._send(place, io.BytesIO(data))

    def write_once(self, key: str, data: bytes) -> bool:
        """Make the object if its name is free, by a conditional PUT of up to 5 GB.

        Asked for first and then put, because some servers ignore the condition:
        there two writers at the same moment may both believe they were first.
        """
        place = self._place(key)
        for _ in range(_NUM_TRIES):
            if self.exists(key):
                return False
            with self._explained(key):
                try:
                    self._put(place, data, IfNoneMatch="*")
                    return True
                except ClientError as error:
                    if error_code(error) in _TAKEN:
                        return False
                    # A delete crossed our write, or another write is under way: look again.
                    if error_code(error) not in _CONFLICT:
                        raise
        raise StorageError(f"{self.uri}/{key}: others write and delete it all the time.")

    def replace(self, key: str, data: bytes | None, *, expected: bytes) -> bool:
        """Replace or remove the object if it holds ``expected``, by a conditional PUT.

        A removal looks first and is not conditional, which few servers know.
        """
        place = self._place(key)
        with self._explained(key):
            try:
                found, etag = self._read_once(place)
                if found != expected:
                    return False
                if data is None:
                    self._client.delete_object(**place)
                else:
                    self._put(place, data, **({"IfMatch": etag} if etag else {}))
                return True
            except ClientError as error:
                if error_code(error) not in _MISSING | _TAKEN | _CONFLICT:
                    raise
        # The answer to a first try may have been lost, and the second found our own bytes.
        return self.exists(key) and self.read(key) == data

    def exists(self, key: str) -> bool:
        """Return whether the object is there."""
        place = self._place(key)
        with self._explained(key):
            try:
                self._client.head_object(**place)
            except ClientError as error:
                if error_code(error) not in _MISSING:
                    raise
                self._require_bucket()
                return False
            return True

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with ``prefix``, 1,000 in memory at once."""
        return self._pages(self._root + checked_prefix(self.uri, prefix))

    def delete(self, key: str) -> None:
        """Remove the object."""
        place = self._place(key)
        with self._explained(key):
            try:
                self._client.delete_object(**place)
            except ClientError as error:
                if error_code(error) not in _MISSING:
                    raise

    def upload(self, key: str, path: str | Path) -> None:
        """Send a file to the object, in parts where it is large."""
        place = self._place(key)
        with self._explained(key), explained(str(path)), Path(path).open("rb") as source:
            self._send(place, source)

    def download(self, key: str, path: str | Path) -> None:
        """Fetch the object into a file."""
        place = self._place(key)
        with self._explained(key), whole_file(Path(path)) as file:
            self._client.download_fileobj(**place, Fileobj=file, Config=_transfer())

    def __getstate__(self) -> dict[str, Any]:
        forgotten = ("_lock", "_clients", "_bucket_was_there")
        return {name: value for name, value in self.__dict__.items() if name not in forgotten}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_client()

    def _forget_client(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[int, tuple[boto3.session.Session, Any]] = {}
        self._bucket_was_there = False

    @property
    def _client(self) -> Any:  # boto3 makes its clients' classes at run time
        return self._session_and_client[1]

    @property
    def _session_and_client(self) -> tuple[boto3.session.Session, Any]:
        with self._lock:
            # A forked process must not share its parent's connections.
            process = os.getpid()
            if process not in self._clients:
                # boto3's default session is not safe to use from several threads.
                session = boto3.session.Session()
                client = _new_client(session, self._endpoint_url, self._timeout_seconds)
                self._clients = {process: (session, client)}
            return self._clients[process]

    def _secrets(self) -> tuple[str, ...]:
        found = self._session_and_client[0].get_credentials()
        return tuple(secret for secret in found.get_frozen_credentials() if secret) if found else ()

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._root + checked_key(self.uri, key)}

    def _explained(self, key: str) -> AbstractContextManager[None]:
        return s3_explained(
            f"{self.uri}/{key}",
            bucket=self._bucket,
            endpoint_url=self._endpoint_url,
            secrets=self._secrets,
        )

    def _put(self, place: dict[str, str], data: bytes, **condition: str) -> None:
        self._client.put_object(**place, Body=data, **self._write_options, **condition)

    def _send(self, place: dict[str, str], source: BinaryIO) -> None:
        self._client.upload_fileobj(
            source, **place, Config=_transfer(), ExtraArgs=self._write_options or None
        )

    def _read_once(self, place: dict[str, str]) -> tuple[bytes, str]:
        answer = self._client.get_object(**place)
        # Not `with body`: that hands out the stream below it, whose errors are not boto3's.
        with closing(answer["Body"]) as body:
            return body.read(), answer.get("ETag", "")

    def _require_bucket(self) -> None:
        # A missing object and a missing bucket answer HEAD alike, without a body.
        if self._bucket_was_there:
            return
        try:
            self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1, Prefix=self._root)
        except ClientError as error:
            if error_code(error) == "NoSuchBucket":
                raise
        self._bucket_was_there = True

    def _pages(self, prefix: str) -> Iterator[ObjectInfo]:
        token: dict[str, str] = {}
        while True:
            with self._explained(prefix.removeprefix(self._root)):
                page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token)
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):  # consoles make such objects for folders
                    yield ObjectInfo(found["Key"].removeprefix(self._root), found["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}


def _new_client(
    session: boto3.session.Session, endpoint_url: str | None, timeout_seconds: float
) -> Any:
    attempts = os.environ.get("AWS_MAX_ATTEMPTS", "")
    config = Config(
        retries={
            "mode": "adaptive",
            "total_max_attempts": int(attempts) if attempts.isdecimal() else _NUM_ATTEMPTS,
        },
        connect_timeout=min(_CONNECT_SECONDS, timeout_seconds),
        read_timeout=timeout_seconds,
        max_pool_connections=_NUM_CONNECTIONS,
    )
    if endpoint_url is not None:
        # Many servers that are not AWS know no trailing checksums.
        config = config.merge(
            Config(
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
        )
    return session.client("s3", endpoint_url=endpoint_url, config=config)


def _transfer() -> TransferConfig:
    return TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES)
