"""Finished runs to review: one of the scripted engine, and one whose every string is hostile."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from msp.config import RunConfig, fingerprint
from msp.distributed.shards import ShardGenerator, ShardJudge, ShardSink
from msp.methods import first_round, make_plan
from msp.methods.base import num_shards
from msp.records import CANDIDATES_SCHEMA, Candidate, Constraint, Unit, unit_row
from msp.review.desk import Desk
from msp.review.gold import load_reviewed_task
from msp.review.opened import open_finished
from msp.review.server import ReviewServer
from msp.storage import layout
from msp.storage.manifest import build_manifest
from msp.storage.parquet import table_bytes
from msp.storage.run_record import open_run
from msp.storage.store import ObjectStore, open_run_store

SETTINGS: dict[str, Any] = {
    "task": {"name": "jsonl", "path": "sample:front_desk"},
    "generate": {
        "engine": "scripted",
        "units_per_shard": 16,
        "num_candidates_per_unit": 6,
        "novel_units_per_seed_example": 0,
    },
    # Judged without an encoder: by how common the labels are, the commonest over the cut.
    "denoise": {
        "frequency_weight": 1,
        "distance_weight": 0,
        "disagreement_weight": 0,
        "max_noise_score": 0.25,
        "max_drop_rate": 1,
    },
    "student": {"num_seeds": 1, "num_steps": 5},
}
HOSTILE_LABEL = "<script>window.hacked=1</script>"
HOSTILE_SLOT = "<img src=x onerror=window.hacked=1>"
HOSTILE_TEXTS = [
    "<script>window.hacked=1</script> refund please <b>now</b>",
    '"><img src=x onerror="window.hacked=1"> on friday',
    "{{ 7 * 7 }} \u202erebook\u202c now javascript:alert(1) & <!-- on friday",
]


def run_config(output: Path, **task: Any) -> RunConfig:
    tree = {**SETTINGS, "output_uri": str(output), "task": {**SETTINGS["task"], **task}}
    return RunConfig.model_validate(tree)


def finish(config: RunConfig) -> ObjectStore:
    """Write what makes a run a finished one, around its candidates."""
    store, task = open_run_store(config), load_reviewed_task(config)
    content = {"task.path": task.content_hash, "task.ontology": task.content_hash}
    open_run(
        store,
        config=config.model_dump(mode="json"),
        fingerprint=fingerprint(config, content=content),
        versions={},
    )
    build_manifest(store, [])
    return store


def make_run(config: RunConfig) -> ObjectStore:
    """Make all candidates of a run in this process, by the steps that Ray runs elsewhere."""
    task = load_reviewed_task(config)
    shards = num_shards(make_plan(config, task).num_units, config.generate.units_per_shard)
    plan = first_round(config, {})
    steps = [ShardGenerator(config, task, plan), ShardJudge(config, task, plan), ShardSink(config)]
    table = pa.table({"shard": list(range(shards))})
    for step in steps:
        table = step(table)
    return finish(config)


def candidate_rows(store: ObjectStore) -> list[dict[str, Any]]:
    """Return every candidate of a run with its unit's columns."""
    from msp.storage.parquet import read_table

    return [
        {**{key: unit[key] for key in unit if key != "candidates"}, **candidate}
        for info in store.list(layout.CANDIDATES_PREFIX)
        for unit in read_table(store, info.key).to_pylist()
        for candidate in unit["candidates"]
    ]


def hostile_run(folder: Path) -> ObjectStore:
    """Write a run whose labels, slots, values and texts all try to be markup."""
    ontology = {
        "attributes": {HOSTILE_LABEL: HOSTILE_LABEL, "plain": ""},
        "slots": {HOSTILE_SLOT: ""},
    }
    (folder / "ontology.json").write_text(json.dumps(ontology))
    rows = [
        {"text": f"{HOSTILE_LABEL} seed {i}", "attributes": [HOSTILE_LABEL], "split": split}
        for i, split in enumerate(["seed", "seed", "dev", "test"])
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = run_config(folder / "run", path=str(folder / "mine.jsonl"))
    constraint = Constraint((HOSTILE_LABEL,), {HOSTILE_SLOT: ("<b>now</b>", "friday")}, "general")
    unit = Unit(0, 0, "msp", "mine.jsonl:1", constraint, (), len(HOSTILE_TEXTS), 1)
    made = [
        Candidate(k, text, "x", True, None, math.nan, math.nan, 0.1, 3, -2.0)
        for k, text in enumerate(HOSTILE_TEXTS)
    ]
    store = open_run_store(config)
    store.write_once(
        layout.candidates_key(0, 0), table_bytes([unit_row(unit, made)], CANDIDATES_SCHEMA)
    )
    return finish(config)


@contextmanager
def serving(uri: str | Path, **desk: Any) -> Iterator[ReviewServer]:
    """Serve a run's review from a thread."""
    with ReviewServer(Desk(open_finished(str(uri)), **desk)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
