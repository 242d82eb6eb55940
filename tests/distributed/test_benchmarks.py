"""Every benchmark goes the whole way with an encoder-decoder of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from msp.config import RunConfig
from msp.distributed.run import run_stage
from msp.tasks.brackets import labels_in, read_brackets
from msp.tasks.metrics import HEADLINE

pytestmark = pytest.mark.ray

CITIES = ("Rome", "Oslo", "Bonn", "Graz", "Brno", "Lyon")
INTENTS = ("IN:GO", "IN:STAY")


def crossner(folder: Path) -> dict[str, Any]:
    (folder / "music").mkdir()
    for name, cities in (("train", CITIES[:4]), ("dev", CITIES[4:5]), ("test", CITIES[5:])):
        rows = "".join(f"go\tO\nto\tO\n{city}\tB-location\n\n" for city in cities)
        (folder / "music" / f"{name}.txt").write_text(rows)
    return {"name": "crossner", "domain": "music"}


def topv2(folder: Path) -> dict[str, Any]:
    for name, cities in (("train", CITIES[:4]), ("eval", CITIES[4:5]), ("test", CITIES[5:])):
        rows = [
            f"d\tu\t[{INTENTS[i % 2]} go to [SL:PLACE {city} ] ]" for i, city in enumerate(cities)
        ]
        text = "\n".join(["domain\tutterance\tsemantic_parse", *rows])
        (folder / f"travel_{name}.tsv").write_text(text)
    return {"name": "topv2", "domain": "travel"}


def banking77(folder: Path) -> dict[str, Any]:
    (folder / "categories.json").write_text('["go", "stay"]')
    for name, cities in (("train", CITIES[:4]), ("test", CITIES[4:])):
        rows = [f"is it {city},{('go', 'stay')[i % 2]}" for i, city in enumerate(cities)]
        (folder / f"{name}.csv").write_text("\n".join(["text,category", *rows]))
    return {"name": "banking77"}


def actdial(folder: Path) -> dict[str, Any]:
    splits = ("train", "train", "train", "dev", "test", "test")
    rows = [
        {"index": f"d_{s}_{i}_0_0", "fs_text": f"hi {c}", "annotation": ("greet", "ask")[i % 2]}
        for i, (s, c) in enumerate(zip(splits, CITIES, strict=True))
    ]
    (folder / "daily.json").write_text(json.dumps(rows))
    return {"name": "actdial", "path": str(folder / "daily.json")}


def slots(folder: Path) -> dict[str, Any]:
    (folder / "ontology.json").write_text('{"attributes": ["go"], "slots": ["place"]}')
    rows = [
        {"text": f"go to {c}", "attributes": ["go"], "values": {"place": [c]}, "split": s}
        for c, s in zip(CITIES, ("seed", "seed", "seed", "dev", "test", "test"), strict=True)
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"name": "jsonl", "path": str(folder / "mine.jsonl"), "predict": "slots"}


def config_of(
    task: dict[str, Any], folder: Path, model: Path, *, span_agreement: float = 0.8, **generate: Any
) -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": str(folder / "run"),
            "task": {"path": str(folder), "metrics": ["standard", "paper_compatible"], **task},
            "model": {"name": str(model)},
            "prompts": {"instruction_length": 2, "attribute_length": 2, "num_exemplars": 1},
            "tune": {"num_epochs": 1, "batch_size": 2, "max_dev_generations": 0},
            "generate": {
                "num_candidates_per_unit": 4,
                "novel_units_per_seed_example": 1,
                "max_new_tokens": 12,
                **generate,
            },
            "denoise": {
                "encoder": str(model),
                "max_noise_score": 2.0,
                "span_agreement": span_agreement,
                "max_drop_rate": 1.0,
            },
            "student": {
                "encoder": str(model),
                "num_seeds": 1,
                "num_steps": 4,
                "batch_size": 2,
                "hidden_size": 8,
            },
        }
    )


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (crossner, "tagging"),
        (topv2, "parse"),
        pytest.param(banking77, "single_label", marks=pytest.mark.slow),
        pytest.param(actdial, "multilabel", marks=pytest.mark.slow),
        pytest.param(slots, "tagging", marks=pytest.mark.slow),
    ],
)
def test_a_benchmark_is_tuned_generated_judged_learned_and_reported(
    make, kind: str, tmp_path: Path, tiny_t5_path: Path
) -> None:
    config = config_of(make(tmp_path), tmp_path, tiny_t5_path)
    headline = run_stage("run", config)
    figures = json.loads((tmp_path / "run/metrics.json").read_bytes())
    assert figures["student"]["headline"] == list(HEADLINE[kind])
    for arm in ("seed_only", "augmented"):
        assert {*HEADLINE[kind]} <= figures["student"][arm].keys()
        assert any(name.startswith("paper_") for name in figures["student"][arm])
        assert [*headline[arm]] == list(HEADLINE[kind][:2])
    assert (tmp_path / "run/report.html").stat().st_size > 10_000


@pytest.mark.parametrize("make", [crossner, topv2])
def test_what_is_kept_says_where_its_labels_stand(make, tmp_path: Path, tiny_t5_path) -> None:
    # No tagger that learned from four texts agrees with words that were drawn.
    config = config_of(
        make(tmp_path), tmp_path, tiny_t5_path, span_agreement=0.0, engine="scripted"
    )
    assert run_stage("run", config)["num_synthetic"] > 0
    for path in (tmp_path / "run/synthetic").glob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            labels = labels_in(read_brackets(row["target"]))
            assert {*labels} == {*row["attributes"]}, row
