"""The drop-rate watch: it stops a run that wastes its cluster, and names the setting to turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import DenoiseConfig
from msp.denoise.agreement import SPANS_NOT_AGREED
from msp.denoise.drop_rate import _ADVICE, DropRateWatch
from msp.denoise.keep import OFF_TOPIC
from msp.denoise.rules import RULES
from msp.denoise.scorer import UNANSWERED, UNPLACED_VALUE
from msp.errors import DropRateError


def watch(window: int = 1000, rate: float = 0.98) -> DropRateWatch:
    return DropRateWatch(DenoiseConfig(drop_rate_window=window, max_drop_rate=rate))


def test_the_message_counts_names_the_commonest_reason_and_the_settings() -> None:
    watched = watch()
    watched.add(500, {"off_topic": 495, "empty": 4})
    with pytest.raises(DropRateError) as caught:
        watched.add(500, {"off_topic": 496, "empty": 3})
    assert str(caught.value) == (
        "denoise dropped 998 of the last 1000 candidates (991 off_topic); "
        "lower generate.temperature or raise denoise.max_drop_rate."
    )


def test_every_reason_has_its_own_advice() -> None:
    assert set(_ADVICE) == {
        *RULES, OFF_TOPIC, UNPLACED_VALUE, UNANSWERED, SPANS_NOT_AGREED,
    }  # fmt: skip


def test_a_window_that_is_not_full_stops_nothing_until_it_is_checked() -> None:
    watched = watch()
    watched.add(999, {"missing_value": 999})
    with pytest.raises(DropRateError, match=r"999 missing_value.*denoise.require_values"):
        watched.check()


def test_what_was_good_but_over_quota_is_no_fault() -> None:
    watched = watch(window=10, rate=0.5)
    watched.add(100, {"over_quota": 95, "off_topic": 5})
    watched.check()


def test_old_successes_leave_the_window() -> None:
    watched = watch(window=10)
    watched.add(50, {})
    watched.add(5, {"empty": 5})
    with pytest.raises(DropRateError, match="dropped 10 of the last 10"):
        watched.add(5, {"empty": 5})


def test_exactly_the_allowed_share_goes_on_and_nothing_judged_is_fine() -> None:
    watched = watch(window=100)
    watched.check()
    watched.add(0, {})
    watched.add(100, {"off_topic": 98})


def test_a_rate_of_one_never_stops_a_run() -> None:
    watch(window=1, rate=1.0).add(7, {"empty": 7})


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_the_window_holds_the_fewest_last_calls_that_fill_it(calls) -> None:
    watched = watch(window=20, rate=1.0)
    for num, dropped in calls:
        watched.add(num, {"empty": min(num, dropped)})
    fewest = next(
        (n for n in range(len(calls) + 1) if sum(c for c, _ in calls[len(calls) - n :]) >= 20),
        len(calls),
    )
    last = calls[len(calls) - fewest :]
    assert watched._seen == sum(num for num, _ in last)
    assert watched._dropped.total() == sum(min(num, dropped) for num, dropped in last)
