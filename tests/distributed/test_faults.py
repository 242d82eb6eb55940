"""Processes are killed for real; running the same command again gives every id once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, novel_units_per_seed_example: 0, units_per_shard: 4}}
"""


def config_file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG.format(output=folder / name))
    return path


def start(config: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "msp.cli", "generate", str(config)]
    with (config.parent / f"{config.stem}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def finish(config: Path) -> None:
    assert start(config).wait(timeout=300) == 0, (config.parent / f"{config.stem}.log").read_text()


def shards(config: Path) -> list[Path]:
    return sorted((config.parent / config.stem / "candidates").rglob("*.parquet"))


def wait_for_shards(config: Path, driver: subprocess.Popen[bytes], num: int) -> None:
    deadline = time.monotonic() + 120
    while len(shards(config)) < num:
        assert driver.poll() is None, (config.parent / f"{config.stem}.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def committed(config: Path) -> dict[int, list[tuple[int, str, bool]]]:
    found: dict[int, list[tuple[int, str, bool]]] = {}
    for path in shards(config):
        for row in pq.read_table(path).to_pylist():
            assert row["id"] not in found, f"unit {row['id']} is there twice"
            found[row["id"]] = [
                (c["candidate_id"], c["text"], c["kept"]) for c in row["candidates"]
            ]
    return found


def published(config: Path) -> list[int]:
    folder = config.parent / config.stem / "synthetic"
    assert json.loads((folder / "manifest.json").read_text())["num_rows"]
    return sorted(
        candidate_id
        for path in folder.glob("*.parquet")
        for candidate_id in pq.read_table(path)["candidate_id"].to_pylist()
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = config_file(tmp_path_factory.mktemp("unbroken"), "run")
    finish(config)
    return config


def kill_an_actor(driver: subprocess.Popen[bytes]) -> None:
    workers = psutil.Process(driver.pid).children(recursive=True)
    actors = [p for p in workers if p.is_running() and "MapWorker" in " ".join(p.cmdline())]
    assert actors
    actors[0].kill()


def kill_the_driver(driver: subprocess.Popen[bytes]) -> None:
    driver.kill()


def kill_the_cluster(driver: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    for process in family:
        kill_if_alive(process)


def kill_if_alive(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


@pytest.mark.parametrize("kill", [kill_an_actor, kill_the_driver, kill_the_cluster])
def test_a_killed_run_started_again_makes_every_unit_once(
    kill: object, unbroken: Path, tmp_path: Path
) -> None:
    config = config_file(tmp_path, "run")
    driver = start(config)
    wait_for_shards(config, driver, 5)
    kill(driver)  # type: ignore[operator]
    driver.wait(timeout=300)
    made_before = {path.name: path.stat().st_mtime_ns for path in shards(config)}
    finish(config)
    made_after = {path.name: path.stat().st_mtime_ns for path in shards(config)}
    assert made_before.items() <= made_after.items(), "a committed shard was made again"
    assert committed(config) == committed(unbroken)
    assert published(config) == published(unbroken)


def test_another_config_on_the_same_output_is_refused_by_name_of_key(
    unbroken: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "msp.cli", "generate", str(unbroken)]
    changed = [*command, "--set", "generate.temperature=1.5"]
    done = subprocess.run(changed, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "generate.temperature" in done.stderr


def test_a_short_run_that_drops_nearly_everything_stops_and_says_why(tmp_path: Path) -> None:
    config = config_file(tmp_path, "run")
    command = [sys.executable, "-m", "msp.cli", "generate", str(config)]
    settings = ["--set", "denoise.max_noise_score=0.001", "--set", "generate.attributes=[wifi]"]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, timeout=180)
    assert done.returncode == 1
    assert "off_topic" in done.stderr and "denoise.max_drop_rate" in done.stderr
    assert shards(config) and not (tmp_path / "run" / "synthetic" / "manifest.json").exists()
