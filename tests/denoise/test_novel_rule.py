"""Texts of new combinations stay only where classifiers agree; others are not asked about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from msp.config import DenoiseConfig
from msp.denoise.agreement import NovelRule
from msp.denoise.scorer import UnitScorer
from msp.records import Constraint, Example, Generated, Unit

SEEDS = (
    Example("s0", "the spa", ("spa",)),
    Example("s1", "the bill", ("bill",)),
    Example("s2", "wifi and bill", ("wifi", "bill")),
)
LABELS = ("spa", "bill", "wifi")
CONFIG = DenoiseConfig(
    frequency_weight=0, distance_weight=1, disagreement_weight=0, max_noise_score=2,
    num_kept_per_unit=3, novel_agreement=0.5,
)  # fmt: skip


class Words:
    """Encodes a text as the labels that it names."""

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        found = [[float(label in text) for label in LABELS] for text in texts]
        return np.array(found, dtype=np.float32).reshape(len(texts), 3)


class WordEnsemble:
    """Finds what a text names; notes how many texts it was asked about."""

    num_asked = 0

    def support(self, vectors: np.ndarray, asked: np.ndarray) -> np.ndarray:
        self.num_asked += len(vectors)
        return ((vectors > 0) == asked).all(axis=1).astype(np.float64)


def judged(attributes: tuple[str, ...], texts: Sequence[str]) -> tuple[list[str | None], int]:
    ensemble = WordEnsemble()
    rule = NovelRule(ensemble, LABELS, 0.5)
    scorer = UnitScorer(CONFIG, Words(), SEEDS, novel_rule=rule)
    unit = Unit(0, 0, "msp", "s0", Constraint(attributes, {}, "x"), (), len(texts), 0)
    (found,) = scorer.judge([unit], [[Generated(text, 3, -1.0) for text in texts]])
    return [candidate.reason for candidate in found], ensemble.num_asked


def test_a_text_of_a_new_combination_must_be_agreed_on() -> None:
    reasons, _ = judged(("spa", "bill"), ["a spa bill", "a spa day", "our spa, our bill", ""])
    assert reasons == [None, "not_agreed", None, "empty"]


@pytest.mark.parametrize("attributes", [("spa",), ("bill", "wifi")])
def test_a_combination_that_a_seed_example_has_is_not_asked_about(
    attributes: tuple[str, ...],
) -> None:
    reasons, num_asked = judged(attributes, ["nothing of it"])
    assert (reasons, num_asked) == ([None], 0)
