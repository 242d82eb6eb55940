"""The keep rule: a quota of the least noisy, whatever order they come in."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from msp.config import DenoiseConfig
from msp.denoise.keep import keep_reasons

SCORES = st.dictionaries(
    st.integers(0, 2**40), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, math.nan]), max_size=12
)
CONFIG = DenoiseConfig(num_kept_per_unit=3, max_noise_score=0.5)


def test_the_least_noisy_are_kept_and_the_rest_says_why() -> None:
    scores = {1: 0.4, 2: 0.1, 3: 0.51, 4: 0.2, 5: 0.5}
    assert keep_reasons(scores, CONFIG) == {
        1: None,
        2: None,
        3: "off_topic",
        4: None,
        5: "over_quota",
    }


def test_equal_scores_go_to_the_lower_ids() -> None:
    kept = keep_reasons({9: 0.2, 4: 0.2, 7: 0.2, 1: 0.2}, CONFIG)
    assert [i for i, reason in kept.items() if reason == "over_quota"] == [9]


def test_the_cut_itself_passes_and_not_a_number_does_not() -> None:
    assert keep_reasons({1: 0.5, 2: math.nan}, CONFIG) == {1: None, 2: "off_topic"}


@given(SCORES, st.randoms(use_true_random=False))
def test_the_kept_set_does_not_depend_on_arrival_order(scores, random) -> None:
    shuffled = list(scores.items())
    random.shuffle(shuffled)
    assert keep_reasons(dict(shuffled), CONFIG) == keep_reasons(scores, CONFIG)


@given(SCORES)
def test_nothing_dropped_for_the_quota_is_better_than_what_is_kept(scores) -> None:
    reasons = keep_reasons(scores, CONFIG)
    kept = [scores[i] for i, reason in reasons.items() if reason is None]
    over = [scores[i] for i, reason in reasons.items() if reason == "over_quota"]
    assert len(kept) == min(3, sum(s <= 0.5 for s in scores.values()))
    assert not over or max(kept) <= min(over)
