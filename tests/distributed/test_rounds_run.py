"""Exactly N on a real local Ray: rounds, duplicates, contamination, and a kill in between."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, num_synthetic: 300, balance: uniform, units_per_shard: 8}}
denoise: {{frequency_weight: 1, distance_weight: 0, disagreement_weight: 0, max_noise_score: 1}}
"""


def generate(folder: Path, name: str, *settings: str) -> tuple[Path, str]:
    """Run ``msp generate`` into folder/name; return where, and its standard error."""
    config = folder / f"{name}.yaml"
    config.write_text(CONFIG.format(output=folder / name))
    command = [sys.executable, "-m", "msp.cli", "generate", str(config)]
    overrides = [part for setting in settings for part in ("--set", setting)]
    done = subprocess.run([*command, *overrides], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / name, done.stderr


def rows(run: Path) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted(run.glob("synthetic/*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def said(run: Path) -> list[tuple[int, str]]:
    return [(row["candidate_id"], row["text"]) for row in rows(run)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("exactly"), "run")[0]


def test_exactly_n_are_delivered_and_balanced(run: Path) -> None:
    quota = json.loads((run / "state" / "quota.json").read_text())
    found = rows(run)
    assert len(found) == len({row["candidate_id"] for row in found}) == 300
    assert json.loads((run / "synthetic" / "manifest.json").read_text())["num_rows"] == 300
    counts = Counter(name for row in found for name in row["attributes"])
    for name, of in quota["attributes"].items():
        if name in counts:
            assert counts[name] == of["delivered"]
    assert max(counts.values()) <= 2 * min(counts.values())


def test_no_two_examples_of_the_set_are_near_duplicates(run: Path) -> None:
    from msp.denoise.duplicates import jaccard
    from msp.denoise.rules import normalise

    texts = [normalise(row["text"]).encode() for row in rows(run)]
    assert all(jaccard(a, b) < 0.9 for i, a in enumerate(texts) for b in texts[:i])


def test_a_run_that_lost_all_but_its_candidates_ends_the_same(run: Path, tmp_path: Path) -> None:
    import shutil

    again = tmp_path / "run"
    shutil.copytree(run / "candidates", again / "candidates")
    shutil.copytree(run / "state" / "rounds", again / "state" / "rounds")
    shutil.copy(run / "run.json", again / "run.json")
    (again / "candidates" / "round-000-shard-0000001.parquet").unlink()
    generate(tmp_path, "run")
    assert said(again) == said(run)
    summary = "state/summary.json"
    assert (again / summary).read_bytes() == (run / summary).read_bytes()


def test_the_published_summary_is_what_counting_the_shards_gives(run: Path, tmp_path: Path) -> None:
    import shutil

    from msp.config_file import load_config
    from msp.metrics.collect import summarise_run
    from msp.storage.store import open_store
    from msp.tasks import load_task

    config = load_config(run.with_suffix(".yaml"))
    seeds = load_task(config.task, seed=config.seed).seeds
    published = summarise_run(open_store(str(run)), seeds, seed=config.seed)
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    (bare / "state" / "summary.json").unlink()
    # NaN equals nothing, itself included; its repr does.
    assert repr(summarise_run(open_store(str(bare)), seeds, seed=config.seed)) == repr(published)
    assert published.num_kept == 300 and published.num_dropped_by_reason["duplicate"]
    assert (bare / "state" / "summary.json").read_bytes() == (
        run / "state" / "summary.json"
    ).read_bytes()


def test_what_cannot_be_had_is_said_with_its_commonest_reason(tmp_path: Path) -> None:
    out, told = generate(
        tmp_path,
        "run",
        "generate.max_rounds=2",
        "generate.num_synthetic=900",
        "generate.combinations=seen",
        "generate.attributes=[wifi]",
        "generate.num_candidates_per_unit=4",
    )
    quota = json.loads((out / "state" / "quota.json").read_text())
    assert quota["num_rounds"] == 2
    assert 0 < quota["num_delivered"] == len(rows(out)) < 900
    assert "short are" in told and "duplicate" in told


def test_shares_leave_what_they_do_not_name_to_its_companions(tmp_path: Path) -> None:
    shares = "generate.balance={wifi: 0.75, parking: 0.25}"
    out, _ = generate(
        tmp_path, "run", shares, "generate.num_synthetic=1000", "generate.max_rounds=1"
    )
    quota = json.loads((out / "state" / "quota.json").read_text())
    labels = quota["attributes"]
    assert labels["wifi"]["asked"] == pytest.approx(3 * labels["parking"]["asked"], rel=0.05)
    assert len(rows(out)) == quota["num_delivered"] and len(labels) > 2
    assert all(of["asked"] or of["delivered"] for of in labels.values())


def test_a_planted_evaluation_text_is_dropped_and_counted(run: Path, tmp_path: Path) -> None:
    planted = rows(run)[0]["text"]
    path = tmp_path / "evaluation.jsonl"
    path.write_text(json.dumps({"text": planted.upper() + "!"}) + "\n")
    out, _ = generate(tmp_path, "run", f"denoise.decontaminate=[{path}]")
    assert planted not in {row["text"] for row in rows(out)}
    found = [
        candidate
        for path in (out / "candidates").glob("*.parquet")
        for unit in pq.read_table(path)["candidates"].to_pylist()
        for candidate in unit
        if candidate["reason"] == "contaminated"
    ]
    assert planted in {candidate["text"] for candidate in found}
    assert len(rows(out)) == 300
