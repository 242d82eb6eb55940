"""The noise score: MSP's weights, on numbers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.denoise.noise import attribute_frequencies, attribute_overlap, noise_score
from msp.records import Constraint, Example

SEEDS = (
    Example("0", "a", ("how",), {"time": ("6 pm",)}),
    Example("1", "b", ("how", "spa")),
    Example("2", "c", ("spa",)),
    Example("3", "d", ("how",)),
)


def test_frequencies_are_shares_of_the_seed_examples_slots_included() -> None:
    assert attribute_frequencies(SEEDS) == {"how": 0.75, "spa": 0.5, "time": 0.25}


def test_overlap_is_the_mean_over_labels_and_slots_and_unknown_ones_count_nothing() -> None:
    frequencies = attribute_frequencies(SEEDS)
    asked = Constraint(("how", "never_seen"), {"time": ("7 pm",)}, "hotels")
    assert attribute_overlap(asked, frequencies) == pytest.approx((0.75 + 0.0 + 0.25) / 3)
    assert attribute_overlap(Constraint((), {}, "hotels"), frequencies) == 0.0
    assert attribute_frequencies(()) == {}


def test_the_score_weighs_frequency_against_distance() -> None:
    score = noise_score(overlap=0.4, similarity=0.8, frequency_weight=0.25)
    assert score == pytest.approx(0.25 * 0.4 + 0.75 * 0.2)


@given(st.floats(0, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 0.99))
def test_the_nearer_text_is_never_the_noisier(overlap, one, other, weight) -> None:
    near, far = max(one, other), min(one, other)
    scores = [
        noise_score(overlap=overlap, similarity=s, frequency_weight=weight) for s in (near, far)
    ]
    assert scores[0] <= scores[1]
