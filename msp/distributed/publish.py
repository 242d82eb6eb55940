"""The data set that users read, made from committed candidates and from nothing else.

A pure function of what generation left in the store: running it again after a
kill writes the same objects. Whoever publishes a shard counts it too, so that
its summary costs no second reading. The manifest comes last, so a reader who
sees it sees everything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from msp.config import RunConfig
from msp.denoise.final import FinalVerdicts, read_cutoffs, stream_final
from msp.denoise.relabel import DISAGREED
from msp.distributed.placement import TASK_CPUS, ours_out_of_rays
from msp.distributed.shard_source import ShardId, data_context, read_shards
from msp.lineage import parent_record
from msp.metrics.collect import SAMPLE_SIZE
from msp.metrics.stored_tally import write_tally
from msp.metrics.tally import Tally
from msp.records import Example, example_from_synthetic, synthetic_table
from msp.storage import layout
from msp.storage.manifest import ManifestFile, build_manifest
from msp.storage.parquet import arrow_bytes
from msp.storage.store import ObjectStore, open_run_store

_MIN_SHARDS_PER_BLOCK = 16
_FILE_TYPE = pa.struct(
    [("key", pa.string()), ("rows", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())]
)
_PUBLISHED_SCHEMA = pa.schema([("files", pa.list_(_FILE_TYPE)), ("tally", pa.string())])


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
        before_manifest: writes what describes the data set, such as its card, once the
            summary of its candidates is in the store.

    Raises:
        StorageError: a shard is missing or damaged, or the store failed.
    """

    def entries() -> Iterator[ManifestFile]:
        tally = Tally(SAMPLE_SIZE, seed=config.seed)
        with data_context(), ours_out_of_rays():
            # In order, so that the manifest of a resumed run is the same.
            published = sorted(_published(config, shards, tally), key=lambda file: file.key)
        yield from published
        write_tally(store, tally)
        before_manifest()

    parent = parent_record(config)
    return build_manifest(store, entries(), fingerprint=identity, parent=parent)


def _published(
    config: RunConfig, shards: Sequence[ShardId], tally: Tally
) -> Iterator[ManifestFile]:
    """Yield the manifest's entries, in any order; the tally counts what they come from."""
    # A block sends its counts and a sample of thousands of texts, however large it is: as many
    # blocks as shards in each, and what the driver merges grows with the root of the run alone.
    shards_per_block = max(_MIN_SHARDS_PER_BLOCK, math.isqrt(len(shards)))
    rows = read_shards(shards, shards_per_block=shards_per_block).map_batches(
        Publisher(config), batch_format="pyarrow", num_cpus=TASK_CPUS
    )
    for row in rows.iter_rows():
        tally.merge(json.loads(row["tally"]))
        for entry in row["files"]:
            yield ManifestFile(**entry)


class Publisher:
    """Writes the kept candidates of shards as the objects that users read, and counts all."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return one row: the entry of each object, and the tally of all these shards' candidates.

        A shard that kept nothing has no object.
        """
        store = open_run_store(self._config)
        verdicts = FinalVerdicts(store, read_cutoffs(store))
        tally = Tally(SAMPLE_SIZE, seed=self._config.seed)
        written = [
            entry
            for shard in table.to_pylist()
            if (entry := publish_shard(verdicts, shard["round"], shard["shard"], tally=tally))
        ]
        row = {"files": written, "tally": json.dumps(tally.state())}
        return pa.Table.from_pylist([row], schema=_PUBLISHED_SCHEMA)


def publish_shard(
    verdicts: FinalVerdicts, round: int, shard: int, *, tally: Tally
) -> dict[str, object] | None:
    """Return the manifest's entry of a shard's synthetic examples, written; None for none.

    Args:
        verdicts: of the whole run, with its store.
        round: of the shard.
        shard: its number.
        tally: counts the shard's candidates.

    Raises:
        StorageError: the shard is missing or damaged.
    """
    store, units = verdicts.store, verdicts.read(round, shard)
    tally.add_table(units)
    rows = synthetic_table(units)
    if not len(rows):
        return None
    parquet = arrow_bytes(rows)
    key = layout.synthetic_key(round, shard)
    store.write(key, parquet)
    digest = hashlib.sha256(parquet).hexdigest()
    return {"key": key, "rows": len(rows), "size": len(parquet), "sha256": digest}


def read_before_relabel(store: ObjectStore) -> Iterator[Example]:
    """Yield the same examples with the labels that were asked for, one shard in memory at a time.

    Those that relabelling alone has dropped are there, too (PromptMix's data set
    before relabelling, A1; what is published is A2).
    """
    for table in stream_final(store):
        for row in synthetic_table(table, and_dropped_as=DISAGREED).to_pylist():
            yield example_from_synthetic({**row, "attributes": row["asked"]})
