"""Busy time counts once however many calls overlap, and the sums go on over all starts."""

from __future__ import annotations

import json

import pytest

from msp.distributed import work_log
from msp.distributed.work_log import BusyClock, WorkTotals, generator_work, judge_work


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands at the list's only number."""
    time = [100.0]
    monkeypatch.setattr(work_log.time, "monotonic", lambda: time[0])
    return time


def test_calls_that_overlap_are_busy_once(now: list[float]) -> None:
    clock = BusyClock()
    now[0] = 110.0
    with clock:
        now[0] = 112.0
        with clock:
            now[0] = 115.0
        now[0] = 116.0
    now[0] = 120.0
    assert clock.take() == 6.0 and clock.take() == 0.0


def test_a_call_under_way_is_counted_in_parts(now: list[float]) -> None:
    clock = BusyClock()
    with clock:
        now[0] = 103.0
        assert clock.take() == 3.0
        now[0] = 104.0
    assert clock.take() == 1.0


def test_the_work_of_two_generators_is_summed_and_goes_on_after_a_resume() -> None:
    totals = WorkTotals({})
    for actor, seconds in (("a:1", 2.0), ("b:2", 3.0), ("a:1", 4.0)):
        totals.add(
            json.dumps({"actor": actor, "generator_seconds": seconds, "prompt_positions": 5})
        )
    figures = totals.figures(wall_seconds=10.0)
    assert figures == {
        "generator_seconds": 9.0,
        "generators_up_seconds": 20.0,
        "prompt_positions": 15,
    }
    resumed = WorkTotals(figures)
    resumed.add(json.dumps({"actor": "c:3", "generator_seconds": 1.0}))
    assert resumed.figures(2.0)["generator_seconds"] == 10.0
    assert resumed.figures(2.0)["generators_up_seconds"] == 22.0


def test_the_judge_adds_its_part(now: list[float]) -> None:
    clock = BusyClock()
    with clock:
        now[0] += 0.5
    work = judge_work(generator_work(clock, {"prompt_positions": 7}), clock)
    found = json.loads(work)
    assert (found["generator_seconds"], found["judge_seconds"]) == (0.5, 0.0)
    assert found["prompt_positions"] == 7
