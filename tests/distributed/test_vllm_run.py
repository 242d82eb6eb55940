"""``msp generate`` with engine ``vllm``: killed, resumed, and with an engine that dies."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.ray]

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk", max_seed_examples: 48}}
tune: {{num_epochs: 0}}
generate:
  engine: vllm
  novel_units_per_seed_example: 0
  units_per_shard: 2
  batch_size: 4
  num_candidates_per_unit: 4
  max_new_tokens: 24
denoise: {{max_drop_rate: 1.0}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(output=tmp_path / "run"))
    return path


def start(config: Path) -> subprocess.Popen[bytes]:
    with (config.parent / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "msp.cli", "generate", str(config)], stdout=log, stderr=log
        )


def shards(config: Path) -> list[Path]:
    return sorted((config.parent / "run" / "candidates").rglob("*.parquet"))


def wait_for_shards(config: Path, driver: subprocess.Popen[bytes], num: int) -> None:
    deadline = time.monotonic() + 400
    while len(shards(config)) < num:
        assert driver.poll() is None, (config.parent / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def family(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(driver.pid).children(recursive=True)


def generators(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [p for p in family(driver) if "_Generator" in " ".join(p.cmdline())]


def test_units_are_made_once_though_the_engine_dies_with_its_actor_and_the_cluster_too(config):
    driver = start(config)
    wait_for_shards(config, driver, 2)
    killed = generators(driver)
    assert killed
    for process in killed:
        process.kill()
    wait_for_shards(config, driver, len(shards(config)) + 4)
    everything = family(driver)
    driver.kill()
    for process in everything:
        if process.is_running():
            process.kill()
    driver.wait()
    before = {path.name: path.stat().st_mtime_ns for path in shards(config)}
    assert start(config).wait(timeout=500) == 0, (config.parent / "log").read_text()
    after = {path.name: path.stat().st_mtime_ns for path in shards(config)}
    assert before.items() <= after.items(), "a committed shard was made again"
    rows = [row for path in shards(config) for row in pq.read_table(path).to_pylist()]
    assert sorted(row["id"] for row in rows) == list(range(48))
    assert all(len(row["candidates"]) == 4 for row in rows)
    assert any(candidate["kept"] for row in rows for candidate in row["candidates"])
