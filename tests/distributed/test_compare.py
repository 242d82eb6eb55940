"""A comparison of four scripted runs: killed half way, one cell failing, then mended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray

# Two of these fit on the two CPUs that a local Ray has at least.
CONFIG = """
output_uri: {output}
seeds: [13]
base:
  task: {{name: jsonl, path: "sample:front_desk", max_seed_examples: 24}}
  generate: {{engine: scripted, novel_units_per_seed_example: 0}}
  denoise: {{frequency_weight: 1.0, distance_weight: 0.0, disagreement_weight: 0.0}}
  student: {{num_seeds: 1, num_steps: 5}}
  metrics: {{max_texts: 0}}
  cluster: {{cpus_per_generator: 0.5, cpus_per_scorer: 0.25}}
tasks:
  one: {{}}
  two: {{task.max_seed_examples: 16}}
arms:
  plain: {{}}
  fewer: {{generate.num_candidates_per_unit: 4}}
"""
NAMES = {f"{task} / {arm} / 13" for task in ("one", "two") for arm in ("plain", "fewer")}


def msp(config: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "msp", "compare", str(config), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def metrics(output: Path) -> dict[str, int]:
    found = output.glob("cells/*/*/*/metrics.json")
    return {str(path.relative_to(output)): path.stat().st_mtime_ns for path in found}


def cells_alive() -> list[psutil.Process]:
    """Processes of cells, which only a comparison starts."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words[1:4] == ["-m", "msp", "run"] and "msp-cell-" in words[-1]:
            found.append(process)
    return found


def await_metrics(driver: subprocess.Popen[str], output: Path, num: int) -> None:
    while len(metrics(output)) < num:
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.1)


def await_no_cells() -> None:
    deadline = time.monotonic() + 120
    while cells_alive():
        assert time.monotonic() < deadline, "cells outlive their comparison"
        time.sleep(0.2)


def test_a_killed_comparison_ends_with_every_cell_once_and_the_failed_one_named(
    tmp_path: Path,
) -> None:
    config, output = tmp_path / "compare.yaml", tmp_path / "out"
    config.write_text(CONFIG.format(output=output))
    spoilt = output / "cells/two/plain/13/candidates"
    spoilt.parent.mkdir(parents=True)
    spoilt.write_text("a file where a folder belongs")

    first = msp(config)
    await_metrics(first, output, 1)
    first.kill()
    first.communicate()
    await_no_cells()
    before = metrics(output)
    assert 0 < len(before) < 4

    second = msp(config)
    said, log = second.communicate(timeout=600)
    assert second.returncode == 1, log
    result = json.loads(said.splitlines()[-1])
    assert list(result["failed"]) == ["two / plain / 13"]
    assert "2 at a time" in log and f"{len(before)} done" in log
    assert (result["num_cells"], result["num_done"]) == (4, 3)
    assert before.items() <= metrics(output).items(), "a finished cell was made again"
    page, table = ((output / name).read_text() for name in ("index.html", "table.md"))
    assert "candidates" in result["failed"]["two / plain / 13"]
    assert 'href="cells/two/plain/13.log"' in page and "two / plain / 13" in table
    for name in NAMES - {*result["failed"]}:
        assert f'href="cells/{name.replace(" / ", "/")}/report.html"' in page

    spoilt.unlink()
    third = msp(config)
    while not cells_alive():
        assert third.poll() is None, third.communicate()
        time.sleep(0.1)
    third.send_signal(signal.SIGINT)
    _, log = third.communicate(timeout=120)
    assert third.returncode == 130, log
    await_no_cells()

    made = metrics(output)
    last = msp(config)
    said, log = last.communicate(timeout=600)
    assert last.returncode == 0, log
    result = json.loads(said.splitlines()[-1])
    assert (result["num_done"], result["failed"]) == (4, {})
    assert made.items() <= metrics(output).items() and len(metrics(output)) == 4
    assert {cell["state"] for cell in json.loads((output / "compare.json").read_text())["cells"]} \
        == {"done"}  # fmt: skip

    changed = msp(config, "--set", "arms.fewer.generate.temperature=0.9")
    _, log = changed.communicate(timeout=120)
    assert changed.returncode == 2
    assert "cell one / fewer / 13" in log and "generate.temperature (0.6 there, 0.9 here)" in log
