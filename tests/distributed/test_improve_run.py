"""A loop of two scripted rounds on a real local Ray, killed twice, and what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: {output}
rounds: 2
candidates_per_round: 100
measure: {{folds: 2, trainings: 1}}
stop: {{patience: 9}}
base:
  task: {{name: jsonl, path: "sample:front_desk", max_seed_examples: 24}}
  generate: {{engine: scripted, units_per_shard: 2}}
  denoise: {{frequency_weight: 1.0, distance_weight: 0.0, disagreement_weight: 0.0}}
  student: {{num_seeds: 1, num_steps: 20}}
  metrics: {{max_texts: 0}}
  cluster: {{cpus_per_generator: 0.5, cpus_per_scorer: 0.25}}
"""


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "msp", "improve", str(config), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_when_there(config: Path, path: Path) -> None:
    """Start the loop, and kill its driver as soon as an object is there."""
    driver = start(config)
    while not path.exists():
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.05)
    driver.kill()
    driver.communicate()


def times(folder: Path, pattern: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob(pattern)}


def record(output: Path, name: str) -> Any:
    return json.loads((output / "state" / name).read_text())


def test_a_loop_that_is_killed_twice_makes_every_round_once(tmp_path: Path) -> None:
    config, output = tmp_path / "loop.yaml", tmp_path / "out"
    config.write_text(CONFIG.format(output=output))
    kill_when_there(config, output / "rounds/1/candidates/round-000-shard-0000000.parquet")
    before = times(output, "rounds/1/candidates/*") | times(output, "state/plan-001.json")
    assert before and not (output / "state/measure-001.json").exists()

    kill_when_there(config, output / "state/plan-002.json")
    assert before.items() <= times(output, "**/*").items(), "a shard or a plan was made again"
    first = times(output, "rounds/1/candidates/*") | times(output, "state/*-001.json")

    last = start(config)
    said, log = last.communicate(timeout=600)
    assert last.returncode == 0, log
    assert first.items() <= times(output, "**/*").items(), "round 1 was made or measured again"
    result = json.loads(said.splitlines()[-1])
    assert (result["num_rounds"], len(result["dev"])) == (2, 3)
    assert result["ended"] == "all 2 rounds are done."
    _check_what_is_left(output, result)

    changed = start(config, "--set", "policy=uniform", "--set", "rounds=5")
    _, log = changed.communicate(timeout=120)
    assert changed.returncode == 2
    assert 'policy ("error_shortage" there, "uniform" here)' in log and "rounds" not in log


def _check_what_is_left(output: Path, result: dict[str, Any]) -> None:
    ids = Counter(
        candidate["candidate_id"]
        for path in output.glob("rounds/*/candidates/*.parquet")
        for unit in pq.read_table(path)["candidates"].to_pylist()
        for candidate in unit
    )
    assert len(ids) == 200 and max(ids.values()) == 1
    texts = Counter(
        row["text"].lower()
        for path in output.glob("rounds/*/synthetic/*.parquet")
        for row in pq.read_table(path).to_pylist()
    )
    assert texts and max(texts.values()) == 1, "a text was kept in two rounds"
    manifest = json.loads((output / "rounds/2/synthetic/manifest.json").read_text())
    assert manifest["parent"]["output_uri"] == str(output / "rounds/1")
    assert [record(output, f"spent-00{n}.json")["candidates"] for n in (1, 2)] == [100, 100]
    measured = [path.parent.name for path in output.glob("rounds/*/metrics.json")]
    assert measured == ([str(result["chosen"])] if result["chosen"] else [])
    if result["chosen"]:
        figures = json.loads((output / f"rounds/{result['chosen']}/metrics.json").read_text())
        kept = record(output, f"measure-00{result['chosen']}.json")["num_synthetic"]
        assert 0 < kept <= figures["student"]["augmented"]["num_synthetic"]
    page = (output / "index.html").read_text()
    assert 'href="rounds/2/report.html"' in page and "could be luck" in page
    assert json.loads((output / "improve.json").read_text())["ended"] == result["ended"]


def test_settings_are_searched_without_generating_anew(tmp_path: Path) -> None:
    import yaml

    base = yaml.safe_load(CONFIG.format(output=tmp_path / "unused"))["base"]
    config, output = tmp_path / "run.yaml", tmp_path / "run"
    base["generate"]["num_candidates_per_unit"] = 8
    config.write_text(yaml.safe_dump({"output_uri": str(output), **base}))

    def msp(command: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "msp", command, str(config), *options]
        return subprocess.run(words, capture_output=True, text=True, timeout=600)

    refused = msp("search")
    assert refused.returncode == 2 and "run msp generate with this config first" in refused.stderr
    assert msp("generate").returncode == 0
    before = times(output, "candidates/*")
    done = msp("search", "--trials", "3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["num_trials"] == 3 and found["present"]["num_kept_per_unit"] == 4
    assert found["clear"] == (found["gain"]["low"] > 0) == bool(found["set"])
    assert times(output, "candidates/*") == before
    trials = record(output, "search.json")["trials"]
    assert trials[0]["max_noise_score"] == found["present"]["max_noise_score"]
    assert "dev F1" in done.stderr
