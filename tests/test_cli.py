"""The command line as a person meets it: help, exit statuses and where output goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "run tune generate train evaluate report preview estimate compare improve search status "
    "review submit"
).split()


def msp(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "msp.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_help_answers_without_importing_torch_or_ray() -> None:
    code = (
        "import sys\nfrom msp.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_line_in_the_readme(command: str) -> None:
    assert msp(command, "--help").returncode == 0
    assert f"msp {command}" in (ROOT / "README.md").read_text()


def test_a_wrong_config_ends_with_status_2_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("output_uri: out\ntask: {name: jsonl, path: x.jsonl}\n")
    done = msp("run", "run.yaml", "--set", "generate.temprature=1", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'temperature'" in done.stderr
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["run.yaml"]


def test_a_data_file_that_is_not_there_ends_with_status_2(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("output_uri: out\ntask: {name: jsonl, path: x.jsonl}\n")
    done = msp("run", "run.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "x.jsonl" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_status_of_a_place_without_a_run_is_one_line_of_json(tmp_path: Path) -> None:
    done = msp("status", str(tmp_path))
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["stage"] == "not started"
