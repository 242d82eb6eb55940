"""The list of what a finished data set holds; who sees it, sees a whole data set.

It is written last, and entry by entry: a run of a hundred million units has
millions of files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msp.errors import DamagedError, StorageError
from msp.storage.layout import MANIFEST
from msp.storage.run_record import read_run
from msp.storage.store import ObjectStore
from msp.storage.whole_files import explained


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One object of the data set.

    Args:
        key: relative to the run's URI.
        rows: synthetic examples in it.
        size: in bytes.
        sha256: of its bytes, in hexadecimal.
    """

    key: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data set: the fingerprint of the run that made it, its rows and its files.

    ``parent`` says which data set it goes on from: ``output_uri`` and ``manifest_sha256``.
    """

    fingerprint: Mapping[str, str]
    num_rows: int
    files: tuple[ManifestFile, ...]
    parent: Mapping[str, str] | None = None


def build_manifest(
    store: ObjectStore,
    entries: Iterable[ManifestFile | Mapping[str, Any]],
    *,
    fingerprint: Mapping[str, str] | None = None,
    parent: Mapping[str, str] | None = None,
) -> int:
    """Write ``synthetic/manifest.json``, as the last object of the data set; return its rows.

    Args:
        store: the run's store.
        entries: key, rows, size and sha256 of each object that is there; consumed one by one.
        fingerprint: of the run; read from ``run.json`` by default.
        parent: which data set this one goes on from, if any.

    Raises:
        StorageError: the store failed, or an entry is made of other things.
    """
    identity = read_run(store)["fingerprint"] if fingerprint is None else dict(fingerprint)
    num_rows, separator = 0, "\n"
    with TemporaryDirectory(prefix="msp-manifest-") as folder, explained(folder):
        path = Path(folder) / "manifest.json"
        with path.open("w", encoding="utf-8") as file:
            file.write(f'{{"fingerprint": {json.dumps(identity, sort_keys=True)},\n')
            if parent is not None:
                file.write(f'"parent": {json.dumps(dict(parent), sort_keys=True)},\n')
            file.write('"files": [')
            for entry in entries:
                made = entry if isinstance(entry, ManifestFile) else ManifestFile(**entry)
                file.write(separator + json.dumps(asdict(made)))
                num_rows, separator = num_rows + made.rows, ",\n"
            file.write(f'\n],\n"num_rows": {num_rows}}}\n')
        store.upload(MANIFEST, path)
    return num_rows


def read_manifest(store: ObjectStore) -> Manifest:
    """Return the manifest.

    Raises:
        StorageError: it is not there: the data set is not finished.
        DamagedError: it is damaged.
    """
    if not store.exists(MANIFEST):
        raise StorageError(
            f"{store.uri}/{MANIFEST}: is not there, so the data set is not finished; run the same "
            "command again, which continues."
        )
    text = store.read(MANIFEST)
    try:
        tree = json.loads(text)
        files = tuple(ManifestFile(**entry) for entry in tree["files"])
        manifest = Manifest(tree["fingerprint"], tree["num_rows"], files, tree.get("parent"))
        whole = manifest.num_rows == sum(entry.rows for entry in files)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(store, f"{type(error).__name__}: {error}") from error
    if not whole:
        raise _damaged(store, "its rows do not add up")
    return manifest


def verify_manifest(store: ObjectStore, manifest: Manifest | None = None) -> Manifest:
    """Return the manifest, every object of which is there and has the bytes it had when published.

    Raises:
        DamagedError: names the first object that is missing or damaged.
    """
    manifest = manifest or read_manifest(store)
    for entry in manifest.files:
        fault = _fault(store, entry)
        if fault:
            raise DamagedError(
                f"{store.uri}/{entry.key}: {fault}; remove {store.uri}/{MANIFEST} and run the "
                "same command again, which publishes the data set anew."
            )
    return manifest


def _fault(store: ObjectStore, entry: ManifestFile) -> str:
    if not store.exists(entry.key):
        return "is in the manifest, but is not there"
    data = store.read(entry.key)
    if len(data) != entry.size:
        return f"has {len(data)} bytes, but {entry.size} in the manifest"
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return "is damaged: its sha256 is not the manifest's"
    return ""


def _damaged(store: ObjectStore, what: str) -> DamagedError:
    return DamagedError(
        f"{store.uri}/{MANIFEST}: is damaged ({what}); remove it and run the same command again, "
        "which writes it anew."
    )
