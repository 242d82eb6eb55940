"""``msp status`` says where a run is, what it kept and what it cost, from its store alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msp.status import run_status
from msp.storage import layout
from msp.storage.holder import this_process
from msp.storage.store import ObjectStore, open_store

GENERATED = {
    "planned_units": 800,
    "done_units": 200,
    "num_candidates": 1000,
    "num_kept": 300,
    "num_kept_by_attribute": {"wifi": 250, "billing": 3},
    "num_tokens": 9000,
    "wall_seconds": 60.0,
}


def store_of(tmp_path: Path, **objects: object) -> ObjectStore:
    store = open_store(str(tmp_path))
    store.write(layout.RUN_JSON, b"{}")
    for stage, progress in objects.items():
        store.write(layout.progress_key(stage), json.dumps(progress).encode())
    return store


def test_a_generating_run_says_units_kept_speed_and_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(tmp_path, tune={"epoch": 12, "num_epochs": 12}, generate=GENERATED)
    store.write(layout.PROMPTS_JSON, b"{}")
    status = run_status(str(tmp_path))
    assert (status["stage"], status["done_units"], status["planned_units"]) == (
        "generate",
        200,
        800,
    )
    assert status["num_kept_by_attribute"] == {"wifi": 250, "billing": 3}
    assert (status["tokens_per_second"], status["seconds_left"]) == (150.0, 180.0)
    assert status["held_by"] is None
    said = capsys.readouterr().err
    assert "nobody runs it; the same command continues" in said
    assert "fewest first: billing 3, wifi 250" in said


def test_a_tuning_run_has_time_left_and_no_units_yet(tmp_path: Path) -> None:
    store_of(tmp_path, tune={"epoch": 3, "num_epochs": 12, "seconds": 30.0})
    status = run_status(str(tmp_path))
    assert (status["stage"], status["seconds_left"]) == ("tune", 90.0)
    assert (status["done_units"], status["tokens_per_second"], status["dollars"]) == (None,) * 3


def test_a_scripted_run_that_tunes_nothing_is_generating(tmp_path: Path) -> None:
    store_of(tmp_path, generate=GENERATED)
    assert run_status(str(tmp_path))["stage"] == "generate"


def test_a_live_holder_is_named_and_a_lapsed_one_is_not(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.write(layout.HOLDER_JSON, this_process(60).to_json())
    assert "process" in run_status(str(tmp_path))["held_by"]
    store.write(layout.HOLDER_JSON, this_process(-1).to_json())
    assert run_status(str(tmp_path))["held_by"] is None


def test_hours_and_dollars_are_those_that_the_run_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(tmp_path)
    hours = {"head": 2.0, "gpu": 16.0, "cpu": 0.0}
    store.write(layout.NODES_JSON, json.dumps({"hours": hours, "dollars": 8.4}).encode())
    status = run_status(str(tmp_path))
    assert (status["node_hours"], status["dollars"]) == (hours, 8.4)
    assert "gpu 16.00" in capsys.readouterr().err


@pytest.mark.parametrize("key", [layout.progress_key("generate"), layout.NODES_JSON])
def test_what_is_damaged_is_shown_as_absent(key: str, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.write(key, b'{"cut')
    status = run_status(str(tmp_path))
    assert "generate" not in status and status["dollars"] is None


def test_a_comparison_and_a_loop_say_which_of_their_runs_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["cells/hotels/msp/13", "cells/hotels/eda/13", "rounds/1"]
    done, begun, first_round = (open_store(str(tmp_path / key)) for key in keys)
    first_round.write(layout.RUN_JSON, b"{}")
    assert run_status(str(tmp_path))["runs"] == {"rounds/1": "tune"}
    cells = json.dumps({"cells": [{"key": key} for key in keys[:2]]})
    open_store(str(tmp_path)).write("compare.json", cells.encode())
    done.write(layout.REPORT_HTML, b"")
    assert run_status(str(tmp_path))["runs"] == {keys[0]: "done", keys[1]: "not started"}
    begun.write(layout.RUN_JSON, b"{}")
    status = run_status(str(tmp_path))
    assert status["runs"][keys[1]] == status[keys[1]]["stage"] == "tune"
    assert "1 of 2 runs done" in capsys.readouterr().err
