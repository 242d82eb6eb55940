"""A stage's time adds up over its starts, and a stage that ends in an error took time, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.errors import DamagedError
from msp.storage import layout, stage_times
from msp.storage.stage_times import add_stage_seconds, process_seconds, read_stage_seconds, timed
from msp.storage.store import open_store


def test_the_starts_of_a_stage_add_up(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert read_stage_seconds(store) == {}
    for seconds in (1.5, 2.25):
        add_stage_seconds(store, "tune", seconds)
    add_stage_seconds(store, "start", 4.0)
    assert read_stage_seconds(store) == {"start": 4.0, "tune": 3.75}


def test_a_stage_that_fails_took_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 13.0])
    monkeypatch.setattr(stage_times.time, "monotonic", lambda: next(clock))
    store = open_store(str(tmp_path))
    with pytest.raises(KeyError), timed(store, "generate"):
        raise KeyError("an actor")
    assert read_stage_seconds(store) == {"generate": 3.0}


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write(layout.stage_time_key("tune"), b"not json")
    with pytest.raises(DamagedError, match=r"state/times/tune\.json"):
        read_stage_seconds(store)


def test_this_process_has_been_running_for_a_while() -> None:
    assert 0.0 < process_seconds() < 24 * 3600
