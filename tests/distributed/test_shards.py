"""The three steps of generation run without Ray, and a shard is committed once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from msp.config import RunConfig
from msp.denoise.final import FinalVerdicts
from msp.distributed.publish import Publisher, publish_shard
from msp.distributed.shards import ShardGenerator, ShardJudge, ShardSink
from msp.errors import ConstraintError, StorageError
from msp.lineage import read_synthetic
from msp.methods import RoundPlan
from msp.metrics.collect import SAMPLE_SIZE, summarise_run
from msp.metrics.stored_tally import write_tally
from msp.metrics.tally import Tally
from msp.storage import layout
from msp.storage.parquet import read_table
from msp.storage.store import open_store
from msp.tasks import load_task


def config(folder: Path, **sections: dict[str, object]) -> RunConfig:
    generate = {"engine": "scripted", "units_per_shard": 6, "num_candidates_per_unit": 20}
    tree = {
        "output_uri": str(folder),
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        **sections,
        "generate": {**generate, **sections.get("generate", {})},
    }
    return RunConfig.model_validate(tree)


def make_shard(run: RunConfig, shard: int) -> pa.Table:
    task = load_task(run.task, seed=run.seed)
    only = RoundPlan(0, 0)
    generated = ShardGenerator(run, task, only)(pa.table({"shard": [shard]}))
    return ShardSink(run)(ShardJudge(run, task, only)(generated))


def test_a_shard_holds_every_candidate_with_its_verdict(tmp_path: Path) -> None:
    run = config(tmp_path)
    counts = make_shard(run, 1).to_pylist()[0]
    rows = read_table(open_store(str(tmp_path)), layout.candidates_key(0, 1)).to_pylist()
    assert [row["id"] for row in rows] == list(range(6, 12))
    candidates = [candidate for row in rows for candidate in row["candidates"]]
    assert len(candidates) == counts["num_candidates"] == 6 * 20
    assert all(c["kept"] == (c["reason"] is None) for c in candidates)
    assert sum(c["kept"] for c in candidates) == counts["num_kept"] > 0
    assert sum(json.loads(counts["dropped"]).values()) == 120 - counts["num_kept"]


def test_a_shard_says_who_made_it_and_how_long_it_took(tmp_path: Path) -> None:
    work = json.loads(make_shard(config(tmp_path), 0)["work"][0].as_py())
    assert work["actor"].endswith(f":{os.getpid()}")
    assert work["generator_seconds"] > 0 and work["judge_seconds"] > 0


def test_a_second_writer_of_a_shard_changes_nothing_and_counts_what_is_there(
    tmp_path: Path,
) -> None:
    first = make_shard(config(tmp_path), 0).drop(["work"])
    key = layout.candidates_key(0, 0)
    before = open_store(str(tmp_path)).read(key)
    hotter = config(tmp_path, denoise={"num_kept_per_unit": 1})
    assert make_shard(hotter, 0).drop(["work"]) == first
    assert open_store(str(tmp_path)).read(key) == before


def test_published_rows_are_the_kept_candidates(tmp_path: Path) -> None:
    run, store = config(tmp_path), open_store(str(tmp_path))
    kept = make_shard(run, 0)["num_kept"][0].as_py()
    tally = Tally(10, seed=1)
    entry = publish_shard(FinalVerdicts(store), 0, 0, tally=tally)
    assert entry is not None and entry["rows"] == tally.counts["kept"] == kept
    examples = list(read_synthetic(store, [str(entry["key"])]))
    assert len({example.uid for example in examples}) == kept
    assert all(example.attributes for example in examples)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with pytest.raises(StorageError, match="shard-0000001"):
        publish_shard(FinalVerdicts(store), 0, 1, tally=Tally(10, seed=1))


def test_blocks_of_shards_return_what_counting_the_shards_gives(tmp_path: Path) -> None:
    run, store = config(tmp_path), open_store(str(tmp_path))
    for shard in range(3):
        make_shard(run, shard)
    counted = repr(summarise_run(store, (), seed=run.seed))
    tally = Tally(SAMPLE_SIZE, seed=run.seed)
    for shards in ([2], [0, 1]):
        (row,) = Publisher(run)(pa.table({"round": [0] * len(shards), "shard": shards})).to_pylist()
        tally.merge(json.loads(row["tally"]))
        assert [file["key"] for file in row["files"]] == [
            layout.synthetic_key(0, shard) for shard in shards
        ]
    write_tally(store, tally)
    assert repr(summarise_run(store, (), seed=run.seed)) == counted


def test_a_unit_longer_than_the_context_is_refused(tmp_path: Path, tiny_llama_path: Path) -> None:
    from msp.methods import make_plan
    from msp.methods.writing import UnitWriter
    from msp.models.frozen_lm import load_frozen_lm

    run = config(
        tmp_path,
        model={"name": str(tiny_llama_path)},
        generate={"engine": "hf", "max_new_tokens": 511},
    )
    task = load_task(run.task, seed=run.seed)
    writer = UnitWriter(run, task.ontology, lm=load_frozen_lm(run.model))
    with pytest.raises(ConstraintError, match="even without exemplars"):
        writer.write([make_plan(run, task).unit(0)])
