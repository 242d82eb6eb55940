"""What publishing costs a unit, and what is left of its summary for the driver to do.

    OMP_NUM_THREADS=1 python tests/bench/bench_publish.py

Shards of the scripted engine, published block by block as Ray's tasks do, without
Ray. Processor time, the least of three; one JSON line for each number of shards
in a block, then one for the driver's own passes.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable

import pyarrow as pa

from msp.config import RunConfig
from msp.distributed.publish import Publisher
from msp.distributed.shards import ShardGenerator, ShardJudge, ShardSink
from msp.methods import RoundPlan
from msp.metrics.collect import SAMPLE_SIZE, diversity_metrics, summarise_run
from msp.metrics.stored_tally import write_tally
from msp.metrics.stream import stream_batches
from msp.metrics.tally import Tally
from msp.records import example_from_synthetic
from msp.storage import layout
from msp.storage.store import ObjectStore, open_run_store
from msp.tasks import load_task

NUM_SHARDS = 128
UNITS_PER_SHARD = 128
NUM_UNITS = NUM_SHARDS * UNITS_PER_SHARD


def make_config(folder: str) -> RunConfig:
    """Return a config of the scripted engine with more units than are made here."""
    return RunConfig.model_validate(
        {
            "output_uri": folder,
            "task": {"name": "jsonl", "path": "sample:front_desk"},
            "generate": {
                "engine": "scripted",
                "units_per_seed_example": 200,
                "novel_units_per_seed_example": 0,
                "units_per_shard": UNITS_PER_SHARD,
            },
            "denoise": {
                "frequency_weight": 1,
                "distance_weight": 0,
                "disagreement_weight": 0,
                "max_noise_score": 1,
                "duplicates": "none",
            },
        }
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of the quickest of three."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def measure_blocks(config: RunConfig, shards_per_block: int) -> Tally:
    """Print what blocks of this size cost; return the tally of all of them."""
    publisher = Publisher(config)
    blocks = [
        pa.table({"round": [0] * shards_per_block, "shard": range(first, first + shards_per_block)})
        for first in range(0, NUM_SHARDS, shards_per_block)
    ]
    parts: list[str] = []

    def publish() -> None:
        parts[:] = [publisher(block)["tally"][0].as_py() for block in blocks]

    def merge() -> None:
        nonlocal whole
        whole = Tally(SAMPLE_SIZE, seed=config.seed)
        for part in parts:
            whole.merge(json.loads(part))

    whole = Tally(SAMPLE_SIZE, seed=config.seed)
    publish_seconds, merge_seconds = cpu_seconds(publish), cpu_seconds(merge)
    line = {
        "case": "publish",
        "units_per_block": shards_per_block * UNITS_PER_SHARD,
        "publish_ms_per_unit": round(1e3 * publish_seconds / NUM_UNITS, 4),
        "sent_mb_per_block": round(sum(map(len, parts)) / len(parts) / 1e6, 2),
        "merge_ms_per_block": round(1e3 * merge_seconds / len(parts), 1),
    }
    print(json.dumps(line), flush=True)
    return whole


def read_texts(store: ObjectStore) -> None:
    """Read the synthetic examples as the diversity figures do, without the figures."""
    columns = ["candidate_id", "text", "target", "attributes", "values", "domain"]
    for batch in stream_batches(store, layout.SYNTHETIC_PREFIX, columns=columns):
        list(map(example_from_synthetic, batch.to_pylist()))


def main() -> None:
    """Make the shards, then measure."""
    with tempfile.TemporaryDirectory(prefix="msp-publish-") as folder:
        config = make_config(folder)
        task = load_task(config.task, seed=config.seed)
        job = (config, task, RoundPlan(0, 0))
        generator, judge, sink = ShardGenerator(*job), ShardJudge(*job), ShardSink(config)
        for shard in range(NUM_SHARDS):
            sink(judge(generator(pa.table({"shard": [shard]}))))
        store = open_run_store(config)
        count = cpu_seconds(lambda: summarise_run(store, task.seeds, seed=config.seed))
        for shards_per_block in (4, 16, 64):
            tally = measure_blocks(config, shards_per_block)
        write_tally(store, tally)
        read = cpu_seconds(lambda: summarise_run(store, task.seeds, seed=config.seed))
        texts = cpu_seconds(lambda: read_texts(store))
        diversity = cpu_seconds(lambda: diversity_metrics(store, task.seeds, seed=config.seed))
        line = {
            "case": "driver",
            "count_shards_ms_per_unit": round(1e3 * count / NUM_UNITS, 4),
            "read_summary_ms": round(1e3 * read, 1),
            "synthetic": tally.counts["kept"],
            "read_texts_us_per_synthetic": round(1e6 * texts / tally.counts["kept"], 2),
            "diversity_seconds": round(diversity, 2),
        }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
