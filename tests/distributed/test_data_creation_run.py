"""LLM Data Creation on a real local Ray: a tree that stops at exactly N, broken off and whole."""

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
task: {{name: strategyqa, path: {data}, also_test: [csqa]}}
generate:
  method: data_creation
  engine: scripted
  num_synthetic: 61
  balance: uniform
  num_candidates_per_unit: 2
  units_per_shard: 2
  max_new_tokens: 300
denoise: {{num_kept_per_unit: 4}}
student: {{num_seeds: 1, num_steps: 20, learns_from: synthetic, curve: true}}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    for place, options in (
        ("yesno_close/strategyqa", ["True", "False"]),
        ("mcqa_5/csqa", ["ann", "bob", "eve", "joe", "zoe"]),
    ):
        (folder / place).mkdir(parents=True)
        for split, num in (("train", 10), ("dev", 4), ("test", 10)):
            rows = [
                {
                    "question": f"Is {split} {n} of a kind, as was said {n * 7} times?",
                    "context": None,
                    "options": options,
                    "label": options[n % 2],
                }
                for n in range(num)
            ]
            text = "".join(f"{json.dumps(row)}\n" for row in rows)
            (folder / place / f"{split}.jsonl").write_text(text)
    return folder


def config_file(folder: Path, data: Path) -> Path:
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(output=folder / "run", data=data))
    return path


def rows(config: Path, folder: str) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted((config.parent / "run" / folder).glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run from one formatting example to its report."""
    config = config_file(tmp_path_factory.mktemp("unbroken"), data)
    command = [sys.executable, "-m", "msp.cli", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert said["num_synthetic"] == 61 and set(said["augmented"]) == {"accuracy"}
    return config


def test_exactly_n_are_delivered_and_answers_are_balanced(unbroken: Path) -> None:
    found = rows(unbroken, "synthetic")
    assert len(found) == len({row["candidate_id"] for row in found}) == 61
    answers = Counter(json.loads(row["target"])["label"] for row in found)
    assert sorted(answers.values()) == [30, 31]
    assert all(row["attributes"] == [json.loads(row["target"])["label"]] for row in found)


def test_every_parent_is_in_the_set_and_one_level_above(unbroken: Path) -> None:
    depth = {row["candidate_id"]: row["growth"]["depth"] for row in rows(unbroken, "synthetic")}
    made = {
        candidate["candidate_id"]: unit["growth"]
        for unit in rows(unbroken, "candidates")
        for candidate in unit["candidates"]
    }
    for growth in made.values():
        assert growth["depth"] == depth.get(growth["parent"], 0) + 1
    assert max(depth.values()) >= 3
    # What is surplus was grown last: nothing in the set hangs on it.
    assert all(of["parent"] is None or of["parent"] in depth for of in made.values())


def test_the_second_student_learns_from_synthetic_examples_alone(unbroken: Path) -> None:
    metrics = json.loads((unbroken.parent / "run" / "metrics.json").read_text())
    student = metrics["student"]
    assert student["augmented"]["num_seed_examples"] == 0
    assert student["augmented"]["num_synthetic"] == 61
    assert student["seed_only"]["num_seed_examples"] == 10
    for arm in ("seed_only", "augmented"):
        curve = student[arm]["curve"]
        assert list(curve) == [str(percent) for percent in range(10, 101, 10)]
        assert curve["100"]["accuracy"] == student[arm]["accuracy"]
        assert student[arm]["accuracy_on_csqa"]["per_seed"]
    reasons = metrics["generate"]["num_dropped_by_reason"]
    assert {"cut_off", "not_json", "surplus"} <= reasons.keys()


def test_a_killed_run_started_again_makes_every_unit_once_with_the_same_parents(
    unbroken: Path, data: Path, tmp_path: Path
) -> None:
    config = config_file(tmp_path, data)
    driver = start(config)
    wait_for_shards(config, driver, 3)
    kill_the_driver(driver)
    driver.wait(timeout=300)
    finish(config)
    assert committed(config) == committed(unbroken)
    assert published(config) == published(unbroken)
    growth = [
        {row["candidate_id"]: row["growth"] for row in rows(path, "synthetic")}
        for path in (config, unbroken)
    ]
    assert growth[0] == growth[1]
