"""Shares of what was counted, and none of what was not."""

from __future__ import annotations

from msp.metrics.profile import profile

WORK = {
    "generator_seconds": 40.0,
    "generators_up_seconds": 80.0,
    "prompt_positions": 1000,
    "padding_positions": 30,
    "judge_seconds": 9.0,
}


def test_stages_stand_in_the_order_of_a_run_and_shares_follow_from_the_counts() -> None:
    found = profile(
        {"generate": 50.0, "start": 3.0},
        train_seconds=7.0,
        generated={"num_tokens": 4000, "work": WORK},
    )
    stages = {name: value for name, value in found.items() if isinstance(value, float)}
    assert list(stages.items()) == [("start", 3.0), ("generate", 50.0), ("train", 7.0)]
    assert found["generators"] == {
        "tokens_per_second": 100.0,
        "busy_share": 0.5,
        "padding_share": 0.03,
        "prefix_cache_hit_rate": None,
        "judges_busy_seconds": 9.0,
    }


def test_a_run_that_has_generated_nothing_has_no_shares() -> None:
    found = profile({}, train_seconds=None, generated={})
    assert set(found["generators"].values()) == {None} and found["tune"] is None
