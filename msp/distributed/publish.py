"""The data set that users read, made from committed candidates and from nothing else.

A pure function of ``candidates/``: running it again after a kill writes the same
objects. The manifest comes last, so a reader who sees it sees everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from msp.errors import StorageError
from msp.records import SYNTHETIC_SCHEMA, Example, example_from_synthetic, synthetic_rows
from msp.storage import layout
from msp.storage.manifest import ManifestFile, build_manifest
from msp.storage.parquet import read_table, table_bytes
from msp.storage.store import ObjectStore

# Shards in memory at once; each waits for the store more than for a core.
_NUM_THREADS = 8


def publish(
    store: ObjectStore,
    num_shards: int,
    *,
    identity: Mapping[str, str],
    before_manifest: Callable[[], None],
) -> int:
    """Return the number of synthetic examples once all are published, the manifest last.

    Args:
        store: holds every shard of the plan.
        num_shards: how many shards the plan has.
        identity: the run's fingerprint, for the manifest.
        before_manifest: writes what describes the data set, such as its card.

    Raises:
        StorageError: a shard is missing or damaged, or the store failed.
    """

    def entries() -> Iterator[ManifestFile]:
        yield from _published(store, num_shards)
        before_manifest()

    return build_manifest(store, entries(), fingerprint=identity)


def _published(store: ObjectStore, num_shards: int) -> Iterator[ManifestFile]:
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        numbers = iter(range(num_shards))
        while window := list(islice(numbers, _NUM_THREADS)):
            for entry in pool.map(lambda shard: _publish(store, shard), window):
                if entry is not None:
                    yield entry


def read_synthetic(store: ObjectStore, keys: Iterable[str]) -> Iterator[Example]:
    """Yield the kept examples of ``synthetic/`` objects, one object in memory at a time."""
    for key in keys:
        for row in read_table(store, key).to_pylist():
            yield example_from_synthetic(row)


def _publish(store: ObjectStore, shard: int) -> ManifestFile | None:
    key = layout.candidates_key(0, shard)
    if not store.exists(key):
        raise StorageError(
            f"{store.uri}/{key} was committed, but it is gone; run again to make it anew."
        )
    units = read_table(store, key).to_pylist()
    rows = [row for unit in units for row in synthetic_rows(unit)]
    if not rows:
        return None
    parquet = table_bytes(rows, SYNTHETIC_SCHEMA)
    target = layout.synthetic_key(0, shard)
    store.write(target, parquet)
    return ManifestFile(target, len(rows), len(parquet), hashlib.sha256(parquet).hexdigest())
