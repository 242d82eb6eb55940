"""The noise score: MSP's weights, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.denoise.noise import (
    attribute_frequencies,
    attribute_overlap,
    disagreement,
    noise_score,
)
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


def test_the_score_weighs_frequency_distance_and_disagreement() -> None:
    score = noise_score(overlap=0.4, similarity=0.8, disagreement=0.1, weights=(0.25, 0.5, 0.25))
    assert score == pytest.approx(0.25 * 0.4 + 0.5 * 0.2 + 0.25 * 0.1)


def test_disagreement_is_nothing_for_the_asked_labels_alone_and_grows_with_others() -> None:
    asked = np.array([True, True, False])
    sure = disagreement(np.array([1.0, 1.0, 0.0]), asked)
    assert sure == pytest.approx(0.0, abs=1e-3)
    one_missing = disagreement(np.array([1.0, 0.5, 0.0]), asked)
    assert one_missing == pytest.approx(1 - 0.5**0.5, abs=1e-3)
    assert disagreement(np.array([1.0, 0.5, 0.6]), asked) > one_missing
    assert disagreement(np.array([0.0, 0.0, 1.0]), asked) == pytest.approx(1.0, abs=1e-3)
    assert 0.0 <= disagreement(np.array([0.1, 0.1, 0.1]), np.zeros(3, dtype=bool)) < 1.0


@given(st.floats(0, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 0.99))
def test_the_nearer_text_is_never_the_noisier(overlap, one, other, weight) -> None:
    near, far = max(one, other), min(one, other)
    weights = (weight / 2, 1 - weight, weight / 2)
    scores = [
        noise_score(overlap=overlap, similarity=s, disagreement=0.3, weights=weights)
        for s in (near, far)
    ]
    assert scores[0] <= scores[1]
