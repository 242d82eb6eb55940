"""PromptMix from seed examples to three students on a real local Ray, broken off and whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_faults import committed, finish, kill_the_driver, published, start, wait_for_shards

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: {data}, predict: label}}
generate:
  method: promptmix
  engine: scripted
  num_candidates_per_unit: 8
  units_per_shard: 4
  promptmix: {{texts_per_class: 80}}
denoise:
  frequency_weight: 1
  distance_weight: 0
  disagreement_weight: 0
  max_noise_score: 1
  num_kept_per_unit: 8
student: {{num_seeds: 1, num_steps: 20}}
metrics: {{teacher: true}}
"""


def config_file(folder: Path, data: Path) -> Path:
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(output=folder / "run", data=data))
    return path


def labels(config: Path) -> dict[int, tuple[Any, ...]]:
    return {
        row["candidate_id"]: (*row["attributes"], *row["asked"], row["relabelled"], row["mix"])
        for path in sorted((config.parent / "run" / "synthetic").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, plants_path: Path) -> Path:
    """A run from seed examples to its report."""
    config = config_file(tmp_path_factory.mktemp("unbroken"), plants_path)
    command = [sys.executable, "-m", "msp.cli", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert {"seed_only", "augmented", "before_relabel"} <= said.keys()
    return config


def test_both_labels_are_stored_and_agreement_is_counted(unbroken: Path) -> None:
    metrics = json.loads((unbroken.parent / "run" / "metrics.json").read_text())
    found = labels(unbroken)
    assert len(found) == metrics["generate"]["num_kept"] > 200
    for final, asked, relabelled, mix in found.values():
        assert final == relabelled and mix["attribute"] != asked and 0.5 <= mix["alpha"] <= 1
    relabel = metrics["generate"]["relabel"]
    judged = Counter(
        one["relabelled"] == unit["attributes"][0]
        for path in (unbroken.parent / "run" / "candidates").glob("*.parquet")
        for unit in pq.read_table(path).to_pylist()
        for one in unit["candidates"]
        if one["relabelled"]
    )
    assert (relabel["num_agreed"], relabel["num_relabelled"]) == (judged[True], judged.total())
    assert 0 < relabel["num_agreed"] < relabel["num_relabelled"] and relabel["confusion"]


def test_students_learn_the_labels_before_and_after_relabelling(unbroken: Path) -> None:
    metrics = json.loads((unbroken.parent / "run" / "metrics.json").read_text())
    student = metrics["student"]
    assert student["augmented"]["num_synthetic"] == student["before_relabel"]["num_synthetic"]
    assert student["augmented"]["accuracy"]["per_seed"] and metrics["quality"]["teacher"]
    folder = unbroken.parent / "run" / "student"
    hashes = {
        arm: json.loads((folder / arm / "seed-13.json").read_text())["content_hash"]
        for arm in ("seed_only", "augmented", "before_relabel")
    }
    assert len(set(hashes.values())) == 3
    assert "Before relabelling" in (unbroken.parent / "run" / "report.html").read_text()


def test_a_killed_run_started_again_makes_every_unit_once_with_the_same_labels(
    unbroken: Path, plants_path: Path, tmp_path: Path
) -> None:
    config = config_file(tmp_path, plants_path)
    driver = start(config)
    wait_for_shards(config, driver, 5)
    kill_the_driver(driver)
    driver.wait(timeout=300)
    finish(config)
    assert committed(config) == committed(unbroken)
    assert published(config) == published(unbroken) and labels(config) == labels(unbroken)
