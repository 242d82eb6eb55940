"""A baseline that needs no LM runs through the same stages as MSP, and goes on where it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from msp.config import RunConfig
from msp.distributed.run import run_stage
from msp.preview import preview_run

pytestmark = pytest.mark.ray


def config(output: Path, **generate: Any) -> RunConfig:
    tree = {
        "output_uri": str(output),
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        "generate": {"method": "eda", "engine": "scripted", **generate},
        "denoise": {"frequency_weight": 1, "distance_weight": 0, "disagreement_weight": 0},
    }
    return RunConfig.model_validate(tree)


def rows(run: Path, folder: str) -> list[dict[str, Any]]:
    found = [row for path in run.glob(f"{folder}/*.parquet") for row in _read(path)]
    return sorted(found, key=lambda row: row.get("candidate_id", row["id"]))


def _read(path: Path) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return made


def test_a_run_of_eda_that_lost_a_shard_ends_the_same(tmp_path: Path) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    done = run_stage("generate", config(whole))
    units = rows(whole, "candidates")
    assert len(units) == 885 and {len(unit["candidates"]) for unit in units} == {5}
    assert {unit["method"] for unit in units} == {"eda"} and done["num_synthetic"] > 800
    again.mkdir()
    shutil.copy(whole / "run.json", again / "run.json")
    shutil.copytree(whole / "candidates", again / "candidates")
    (again / "candidates" / "round-000-shard-0000003.parquet").unlink()
    assert run_stage("generate", config(again)) == done
    # NaN equals nothing, itself included; its repr does.
    assert repr(rows(again, "candidates")) == repr(units)
    assert repr(rows(again, "synthetic")) == repr(rows(whole, "synthetic"))


def test_a_preview_of_a_baseline_says_that_it_has_no_prompts(tmp_path: Path) -> None:
    found = preview_run(config(tmp_path / "out"), 4)
    assert found["prompts"] == "none (eda)" and found["num_units_planned"] == 885
    assert not (tmp_path / "out").exists()
