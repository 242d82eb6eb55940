"""The data set that users read, made from committed candidates and from nothing else.

A pure function of what generation left in the store: running it again after a
kill writes the same objects. The manifest comes last, so a reader who sees it
sees everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from msp.config import RunConfig
from msp.denoise.final import FinalVerdicts, read_cutoffs
from msp.distributed.placement import TASK_CPUS, ours_out_of_rays
from msp.distributed.shard_source import ShardId, data_context, read_shards
from msp.records import Example, example_from_synthetic, synthetic_table
from msp.storage import layout
from msp.storage.manifest import ManifestFile, build_manifest
from msp.storage.parquet import arrow_bytes, read_table
from msp.storage.store import ObjectStore, open_run_store

_SHARDS_PER_BLOCK = 16
_PUBLISHED_SCHEMA = pa.schema(
    [("key", pa.string()), ("rows", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())]
)


def publish(
    config: RunConfig,
    store: ObjectStore,
    shards: Sequence[ShardId],
    *,
    identity: Mapping[str, str],
    before_manifest: Callable[[], None],
) -> int:
    """Return the number of synthetic examples once all are published, the manifest last.

    Args:
        config: the run's config, paths absolute.
        store: holds every shard.
        shards: of all rounds.
        identity: the run's fingerprint, for the manifest.
        before_manifest: writes what describes the data set, such as its card.

    Raises:
        StorageError: a shard is missing or damaged, or the store failed.
    """

    def entries() -> Iterator[ManifestFile]:
        with data_context(), ours_out_of_rays():
            # In order, so that the manifest of a resumed run is the same.
            published = sorted(_published(config, shards), key=lambda file: file.key)
        yield from published
        before_manifest()

    return build_manifest(store, entries(), fingerprint=identity)


def _published(config: RunConfig, shards: Sequence[ShardId]) -> Iterator[ManifestFile]:
    rows = read_shards(shards, shards_per_block=_SHARDS_PER_BLOCK).map_batches(
        _Publisher(config), batch_format="pyarrow", num_cpus=TASK_CPUS
    )
    for row in rows.iter_rows():
        yield ManifestFile(**row)


class _Publisher:
    """Writes the kept candidates of shards as the objects that users read."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return [key, rows, size, sha256] of each object; none for a shard that kept nothing."""
        store = open_run_store(self._config)
        verdicts = FinalVerdicts(store, read_cutoffs(store))
        written = [
            entry
            for shard in table.to_pylist()
            if (entry := publish_shard(store, verdicts, shard["round"], shard["shard"]))
        ]
        return pa.Table.from_pylist(written, schema=_PUBLISHED_SCHEMA)


def publish_shard(
    store: ObjectStore, verdicts: FinalVerdicts, round: int, shard: int
) -> dict[str, object] | None:
    """Return the manifest's entry of a shard's synthetic examples, written; None for none.

    Raises:
        StorageError: the shard is missing or damaged.
    """
    rows = synthetic_table(verdicts.read(round, shard))
    if not len(rows):
        return None
    parquet = arrow_bytes(rows)
    key = layout.synthetic_key(round, shard)
    store.write(key, parquet)
    digest = hashlib.sha256(parquet).hexdigest()
    return {"key": key, "rows": len(rows), "size": len(parquet), "sha256": digest}


def read_synthetic(store: ObjectStore, keys: Iterable[str]) -> Iterator[Example]:
    """Yield the kept examples of ``synthetic/`` objects, one object in memory at a time."""
    for key in keys:
        for row in read_table(store, key).to_pylist():
            yield example_from_synthetic(row)
