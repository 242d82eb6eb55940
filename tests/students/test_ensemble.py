"""The rule for new combinations: who agrees, and how good that is on held-out real ones."""

from __future__ import annotations

import numpy as np
import pytest

from msp.records import Example
from msp.students.ensemble import SeedEnsemble, Trial, try_on_held_out

LABELS = ("a", "b", "c", "d")


def examples(num: int = 48) -> tuple[list[Example], np.ndarray]:
    """Texts whose vectors are the sums of their labels' directions."""
    rng = np.random.default_rng(0)
    sets = [("a",), ("b",), ("c",), ("d",), ("a", "b"), ("c", "d"), ("a", "c"), ("b", "d")]
    found, vectors = [], np.zeros((num, 16), dtype=np.float32)
    for row in range(num):
        labels = sets[row % len(sets)]
        for label in labels:
            vectors[row, LABELS.index(label)] = 1
        vectors[row] += 0.05 * rng.standard_normal(16).astype(np.float32)
        vectors[row] /= np.linalg.norm(vectors[row])
        found.append(Example(str(row), f"text {row}", labels))
    return found, vectors


def test_what_a_text_carries_has_more_support_than_what_it_does_not() -> None:
    seeds, vectors = examples()
    ensemble = SeedEnsemble(seeds, vectors, LABELS, seed=1)
    text = np.zeros((2, 16), dtype=np.float32)
    text[:, [1, 2]] = 0.7
    asked = np.array([[False, True, True, False], [True, True, False, False]])
    right, wrong = ensemble.support(text, asked)
    assert right > 0.4 > wrong
    assert ensemble.support(text[:0], asked[:0]).shape == (0,)


def test_the_threshold_lets_the_asked_share_of_held_out_real_texts_pass() -> None:
    seeds, vectors = examples()
    trial = try_on_held_out(seeds, vectors, LABELS, share=0.75, seed=1)
    assert trial.num_right == 24 and trial.num_wrong == 96
    assert trial.num_right_accepted == 18 and trial.num_wrong_accepted < 10
    stricter = try_on_held_out(seeds, vectors, LABELS, share=0.25, seed=1)
    assert stricter.threshold > trial.threshold and stricter.num_right_accepted == 6


def test_where_no_example_has_two_labels_everything_is_accepted() -> None:
    seeds, vectors = examples()
    single = [seed for seed in seeds if len(seed.attributes) == 1]
    rows = [row for row, seed in enumerate(seeds) if len(seed.attributes) == 1]
    trial = try_on_held_out(single, vectors[rows], LABELS, share=0.5, seed=1)
    assert trial == Trial(0.0, 0, 0, 0, 0)


@pytest.mark.parametrize(("accepted", "precision"), [(0.8, 1.0), (0.1, 0.0), (0.45, 8 / 9)])
def test_precision_follows_from_what_is_accepted_of_right_and_wrong(
    accepted: float, precision: float
) -> None:
    assert Trial(0.3, 10, 8, 10, 1).precision(accepted) == pytest.approx(precision, abs=1e-6)


def test_a_rule_that_accepts_wrong_as_often_as_right_has_no_known_precision() -> None:
    assert Trial(0.3, 10, 2, 10, 2).precision(0.2) is None
    assert Trial(0.3, 0, 0, 0, 0).precision(0.2) is None
    assert Trial(0.3, 10, 8, 10, 1).precision(0.0) is None
