"""Where a run's objects live: one interface over a local folder and an S3 bucket.

An object is whole or absent. ``write_once`` is what the exactly-once promise of
a run rests on, so every store makes it atomic as far as its server allows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import unquote

from msp.errors import ConfigError
from msp.storage.whole_files import explained

if TYPE_CHECKING:
    from msp.config import RunConfig

S3_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing; ``key`` is relative to the store's URI, ``size`` is in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Encryption:
    """What an S3 server encrypts every object with, as it is asked for with every write.

    Args:
        kind: ``AES256`` (the server's own keys) or ``aws:kms``.
        kms_key_id: a key of KMS; the account's default key where none is named.
    """

    kind: Literal["AES256", "aws:kms"]
    kms_key_id: str | None = None

    @property
    def write_options(self) -> dict[str, str]:
        """The same as boto3's arguments of a write."""
        key = {"SSEKMSKeyId": self.kms_key_id} if self.kms_key_id else {}
        return {"ServerSideEncryption": self.kind, **key}


class ObjectStore(Protocol):
    """Objects under one URI, named by keys such as ``synthetic/manifest.json``.

    Every store can be pickled, shared by threads and used in forked processes.
    Every method raises StorageError, naming the object, where the store fails
    or the key leaves the prefix, and StoreAccessError where the user has to
    mend the place, the permissions or the credentials.
    """

    @property
    def uri(self) -> str:
        """The place, without a trailing slash; ``f"{uri}/{key}"`` names an object."""

    def read(self, key: str) -> bytes:
        """Return the object's bytes; StorageError where it is not there."""

    def write(self, key: str, data: bytes) -> None:
        """Make the object hold ``data``; readers see the old or the new bytes, never a part."""

    def write_once(self, key: str, data: bytes) -> bool:
        """Return True if this call made the object, False if it was already there.

        The first writer wins and the object never changes afterwards. On S3 a
        False may also mean that this very call had made it and its answer was
        lost on the way: the object is whole either way.
        """

    def replace(self, key: str, data: bytes | None, *, expected: bytes) -> bool:
        """Return True if the object held ``expected`` and now holds ``data`` (None: is gone).

        Of several that replace the same bytes one alone gets True. On an S3
        server that ignores conditions, two at the same moment may both get it.
        """

    def exists(self, key: str) -> bool:
        """Return whether the object is there."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with ``prefix``, sorted by key, page by page."""

    def delete(self, key: str) -> None:
        """Remove the object; it is no error where it is not there."""

    def upload(self, key: str, path: str | Path) -> None:
        """Make the object hold a local file's bytes, streamed; whole or not at all."""

    def download(self, key: str, path: str | Path) -> None:
        """Make a local file hold the object's bytes, streamed; whole or not at all."""


def open_run_store(config: RunConfig) -> ObjectStore:
    """Return the store of a run's config, as :func:`open_store`."""
    cluster = config.cluster
    kind, key = cluster.s3_sse, cluster.s3_sse_kms_key_id
    return open_store(
        config.output_uri,
        endpoint_url=cluster.s3_endpoint_url,
        encryption=None if kind == "none" else Encryption(kind, key),
        timeout_seconds=cluster.s3_timeout_seconds,
    )


def open_store(
    uri: str,
    *,
    endpoint_url: str | None = None,
    encryption: Encryption | None = None,
    timeout_seconds: float = S3_TIMEOUT_SECONDS,
) -> ObjectStore:
    """Return the store at a URI; nothing is contacted or made yet.

    Args:
        uri: an absolute or relative path, ``file:///path``, or ``s3://bucket/prefix``.
            A relative path is resolved now, so that workers in other folders agree.
        endpoint_url: of an S3 store that is not AWS, such as ``http://minio:9000``.
        encryption: asked of an S3 server with every write; a bucket may have a default, too.
        timeout_seconds: how long an S3 server may stay silent before a request is tried again.

    Raises:
        ConfigError: another scheme, no bucket, or credentials in the URI.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _open_local(uri, uri)
    if scheme == "file":
        return _open_local(_file_uri_path(uri, rest), uri)
    if scheme == "s3":
        return _open_s3(rest, endpoint_url, encryption, timeout_seconds)
    raise ConfigError(
        f"output_uri has the scheme {scheme!r}; allowed are a path, file:///path and "
        "s3://bucket/prefix."
    )


def check_store(store: ObjectStore) -> None:
    """Prove that the store can be written, by making and removing one tiny object.

    It goes through ``write_once`` because that asks most of a store: hard links
    of a file system, conditional writes of a server. Nothing is left behind.

    Raises:
        StoreAccessError: the place is missing or refuses us.
        StorageError: it failed otherwise, such as by a full disk.
    """
    key = f"probe-{uuid.uuid4().hex}"
    with _made_folders_removed(store):
        store.write_once(key, b"can this be written?\n")
        store.delete(key)


@contextmanager
def _made_folders_removed(store: ObjectStore) -> Iterator[None]:
    from msp.storage.local import LocalStore, missing_folders

    with explained(store.uri):
        made = missing_folders(Path(store.uri)) if isinstance(store, LocalStore) else []
    try:
        yield
    finally:
        # Another run may have put something there meanwhile.
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _open_local(path: str, uri: str) -> ObjectStore:
    from msp.storage.local import LocalStore

    if not path.strip() or "\0" in path:
        raise ConfigError(f"output_uri is {uri!r}; name a folder or s3://bucket/prefix.")
    return LocalStore(Path(path).expanduser().absolute())


def _file_uri_path(uri: str, rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash or "?" in path:
        raise ConfigError(
            "output_uri is a file:// URI with a host or a query; write file:///absolute/path."
        )
    return "/" + unquote(path)


def _open_s3(
    rest: str, endpoint_url: str | None, encryption: Encryption | None, timeout_seconds: float
) -> ObjectStore:
    from msp.storage.s3 import S3Store

    bucket, _, prefix = rest.partition("/")
    if any("@" in place or "?" in place for place in (bucket, endpoint_url or "")) or "?" in prefix:
        raise ConfigError(
            "output_uri or cluster.s3_endpoint_url carries credentials or a query; write "
            "s3://bucket/prefix and put credentials into the environment "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)."
        )
    if not bucket:
        raise ConfigError(f"output_uri is 's3://{rest}', without a bucket; s3://bucket/prefix.")
    if endpoint_url is not None and not endpoint_url.startswith(("http://", "https://")):
        raise ConfigError(
            f"cluster.s3_endpoint_url is {endpoint_url!r}; it begins with http:// or https://."
        )
    return S3Store(
        bucket,
        prefix.strip("/"),
        endpoint_url=endpoint_url,
        encryption=encryption,
        timeout_seconds=timeout_seconds,
    )
