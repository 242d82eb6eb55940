"""A made-up run of a travel help desk: 300 units in a real store, hostile texts among them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from msp.config import RunConfig
from msp.metrics.collect import diversity_metrics, generate_metrics, summarise_run
from msp.records import (
    CANDIDATES_SCHEMA,
    SYNTHETIC_SCHEMA,
    Attribute,
    Candidate,
    Constraint,
    Example,
    Unit,
    synthetic_table,
    unit_row,
)
from msp.report.inputs import ReportInputs
from msp.storage import layout
from msp.storage.parquet import table_bytes
from msp.storage.store import ObjectStore, open_store
from msp.tasks.ontology import Ontology

LABELS = {
    "refund": "the traveller wants money back",
    "rebook": "the traveller wants another connection instead",
    "delay": "something runs late",
    "baggage": "bags, suitcases and what may go along",
    "seat": "where the traveller sits",
    "invoice": "a bill or a receipt is needed",
    "greeting": "the traveller says hello or goodbye",
    "complaint": "the traveller is unhappy about something",
    "accessibility": "help for travellers with a disability",
    "lost_property": "something was left behind",
}
PHRASES = {
    "refund": ["i want my money back", "please pay back the fare", "can i get a refund"],
    "rebook": ["put me on another train", "can you move my trip", "i need a different connection"],
    "delay": ["the train is running late again", "we have been standing here for an hour"],
    "baggage": ["how many suitcases may i bring", "my bike has to come along"],
    "seat": ["i would rather sit by the window", "are there two seats together"],
    "invoice": ["send me a receipt", "my office needs the bill"],
    "greeting": ["hello there", "good morning", "thanks and goodbye"],
    "complaint": ["this is really not acceptable", "nobody told us anything"],
    "accessibility": ["i travel with a wheelchair", "is there a lift on the platform"],
    "lost_property": ["i left my umbrella on board", "has anyone found a grey scarf"],
}
VALUES = {"date": ["on friday", "the 3rd of may", "tomorrow"], "city": ["Leeds", "Porto", "Graz"]}
HOSTILE = [
    "<script>alert(1)</script> refund please",
    '<img src=x onerror="window.hacked=1"> on friday',
    "</script><script>window.hacked=1</script><!-- tomorrow",
    "\u202erebook my trip\u202c to Porto",
    "re\u200bfund\ufeff for Leeds\u2028and Graz",
    "why " * 1_250,
    "can i take my \U0001f6b2\U0001f9f3 along \U0001f469\u200d\U0001f469\u200d\U0001f467 tomorrow?",
    "{{ 7 * 7 }} & \"quotes\" 'and' `ticks` | pipes",
    "\u05e9\u05dc\u05d5\u05dd, \u05d0\u05e4\u05e9\u05e8 Porto",
    "",
]
LEXICAL = [*["missing_value"] * 6, "copy_of_exemplar", "duplicate_in_unit", "empty"]


@dataclass(frozen=True, slots=True)
class FakeRun:
    """A finished run: its store, and what a report of it is built from."""

    store: ObjectStore
    inputs: ReportInputs


@pytest.fixture(scope="session")
def fake_run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """300 units of 6 candidates each, with scores, a tuning curve and hostile texts."""
    return make_run(tmp_path_factory.mktemp("fake_run"), num_units=300)


def make_run(path: Path, *, num_units: int) -> FakeRun:
    """Write a run's candidates and synthetic examples and return it with all its figures."""
    rng = random.Random(7)
    labels = tuple(Attribute(name, words) for name, words in LABELS.items())
    ontology = Ontology(labels, tuple(Attribute(name, name) for name in VALUES))
    seeds = [_seed_example(number, rng) for number in range(47)]
    store = open_store(str(path))
    units = [_unit(number, rng.choice(seeds)) for number in range(num_units)]
    for shard, start in enumerate(range(0, num_units, 32)):
        rows = [unit_row(unit, _candidates(unit, rng)) for unit in units[start : start + 32]]
        write_table(store, layout.candidates_key(0, shard), rows, CANDIDATES_SCHEMA)
        kept = synthetic_table(pa.Table.from_pylist(rows, schema=CANDIDATES_SCHEMA)).to_pylist()
        write_table(store, layout.synthetic_key(0, shard), kept, SYNTHETIC_SCHEMA)
    config = RunConfig.model_validate(
        {
            "output_uri": str(path),
            "task": {"name": "jsonl", "path": "help_desk.jsonl"},
            "denoise": {"max_noise_score": 0.4},
            "cluster": {"s3_endpoint_url": "https://me:secret@minio:9000"},
        }
    )
    run = {"config": config.model_dump(mode="json"), "versions": {"msp": "0.1.0", "ray": "2.60.0"}}
    metrics = fake_metrics(store, seeds, rng)
    notes = ["The data names no dev split; a fifth of the seed part was held out as dev."]
    return FakeRun(store, ReportInputs(metrics, run, notes, seeds, ontology))


def write_table(
    store: ObjectStore, key: str, rows: list[dict[str, Any]], schema: pa.Schema
) -> None:
    """Write rows as one Parquet object."""
    store.write(key, table_bytes(rows, schema))


def fake_metrics(
    store: ObjectStore, seeds: Sequence[Example], rng: random.Random
) -> dict[str, Any]:
    """Return metrics.json: true counts of the store, made-up scores, curve and times."""
    summary = summarise_run(store, seeds, seed=13)
    before = {name: rng.uniform(25, 75) for name in LABELS}
    curve = [
        {
            "epoch": epoch,
            "train_loss": 1.4 + 2.3 * math.exp(-epoch / 3),
            "dev_loss": 2.1 + 1.7 * math.exp(-epoch / 2) + 0.008 * epoch**1.7,
            "dev_bleu": 11 * (1 - math.exp(-epoch / 3)) + rng.uniform(-0.7, 0.7),
            "seconds": 5.4,
        }
        for epoch in range(1, 13)
    ]
    means = {"micro_f1": (50.9, 0.6), "macro_f1": (41.2, 1.1), "exact_match": (24.4, 0.9)}
    gains = {"micro_f1": 3.9, "macro_f1": 5.2, "exact_match": -0.4}
    seed_only = {name: {"mean": mean, "std": std} for name, (mean, std) in means.items()}
    augmented = {
        name: {"mean": mean + gains[name], "std": std * 0.8} for name, (mean, std) in means.items()
    }
    after = {name: min(100.0, f1 + rng.uniform(-4, 14)) for name, f1 in before.items()}
    return {
        "task": {
            "name": "jsonl",
            "domain": "help_desk",
            "setting": "full",
            "num_seed": 47,
            "num_dev": 12,
            "num_test": 310,
            "notes": [],
        },
        "tune": {"best_epoch": 9, "curve": curve, "wall_seconds": 65.2},
        "generate": generate_metrics(summary, tokens_per_second=1350.0, wall_seconds=141.0),
        "diversity": diversity_metrics(store, seeds, seed=13),
        "student": {
            "seed_only": {**seed_only, "per_attribute": before},
            "augmented": {**augmented, "per_attribute": after},
            "seeds": [13, 14, 15],
            "gain": gains,
        },
        "profile": {
            "start": 6.5,
            "tune": 65.2,
            "generate": 141.0,
            "train": 22.5,
            "evaluate": None,
            "generators": {
                "tokens_per_second": 1480.4,
                "busy_share": 0.914,
                "padding_share": 0.021,
                "prefix_cache_hit_rate": None,
                "judges_busy_seconds": 31.0,
            },
        },
    }


def _seed_example(number: int, rng: random.Random) -> Example:
    # Frequent attributes first, as in real data: weights fall from 10 to 1.
    names = rng.choices(list(LABELS), weights=range(10, 0, -1), k=rng.choice([1, 1, 2, 3]))
    attributes = tuple(name for name in LABELS if name in names)
    values = {s: (rng.choice(v),) for s, v in VALUES.items() if rng.random() < 0.35}
    return Example(
        f"help_desk.jsonl:{number + 1}", _text(attributes, values, rng), attributes, values
    )


def _text(attributes: Sequence[str], values: dict[str, tuple[str, ...]], rng: random.Random) -> str:
    parts = [rng.choice(PHRASES[name]) for name in attributes]
    parts += [f"{'to ' if slot == 'city' else ''}{found[0]}" for slot, found in values.items()]
    rng.shuffle(parts)
    filler = rng.choice(["", " please", " if you can", ", it is urgent", " for me and my son"])
    return ", and ".join(parts) + filler


def _unit(number: int, seed: Example) -> Unit:
    constraint = Constraint(seed.attributes, seed.values, seed.domain)
    return Unit(number, 0, "msp", seed.uid, constraint, (), 6, 1000 * number)


def _candidates(unit: Unit, rng: random.Random) -> list[Candidate]:
    return [_candidate(unit, index, rng) for index in range(unit.num_candidates)]


def _candidate(unit: Unit, index: int, rng: random.Random) -> Candidate:
    asked = unit.constraint
    similarity = min(1.0, max(-0.1, rng.gauss(0.55, 0.2)))
    noise = 0.5 * 0.18 + 0.5 * (1 - similarity)
    reason = rng.choice(LEXICAL) if rng.random() < 0.3 else None
    if reason == "missing_value" and not asked.values:
        reason = "copy_of_exemplar"
    lexical = reason is not None
    if not lexical and noise > 0.4:
        reason = "off_topic"
    if reason is None and index == 5:
        reason = "over_quota"
    text = _text(asked.attributes, {} if reason == "missing_value" else dict(asked.values), rng)
    if unit.id % 30 == 0 and index == 0:
        text = HOSTILE[unit.id // 30 % len(HOSTILE)]
    return Candidate(
        candidate_id=unit.id * 2**16 + index,
        text="" if reason == "empty" else text,
        target="; ".join(asked.attributes),
        kept=reason is None,
        reason=reason,
        noise_score=math.nan if lexical else noise,
        similarity=math.nan if lexical else similarity,
        attribute_overlap=0.18,
        num_tokens=max(1, len(text) // 4),
        logprob=-2.0 * len(text) / 4,
    )


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[ObjectStore]:
    """A store that holds nothing yet."""
    yield open_store(str(tmp_path / "empty"))
