"""Where words are labelled, a text stays only where taggers find the labels that it is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from msp.config import DenoiseConfig, RunConfig
from msp.denoise.agreement import SpanRule
from msp.denoise.scorer import UnitScorer
from msp.judging import judges_with_models
from msp.records import Constraint, Example, Generated, Unit
from msp.tasks.base import Kind

SEEDS = (
    Example("s0", "two nights", ("nights",), {"nights": ("two",)}, "d", "[nights two ] nights"),
)
CONFIG = DenoiseConfig(distance_weight=0, disagreement_weight=0, num_kept_per_unit=9)
CONSTRAINT = Constraint(("nights",), {"nights": ("two",)}, "d")


class Spotter:
    """Finds a label where the next word names it; notes what it was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def agreement(self, targets: Sequence[str]) -> np.ndarray:
        self.asked += targets
        return np.array([0.9 if "] nights" in target else 0.4 for target in targets])


def judged(texts: Sequence[str], least: float) -> tuple[list[str | None], list[str]]:
    spotter = Spotter()
    scorer = UnitScorer(
        CONFIG,
        None,
        SEEDS,
        target_of=lambda _, text: text.replace("two", "[nights two ]"),
        span_rule=SpanRule(spotter, least),
    )
    unit = Unit(0, 0, "msp", "s0", CONSTRAINT, (), len(texts), 0)
    (found,) = scorer.judge([unit], [[Generated(text, 3, -1.0) for text in texts]])
    return [candidate.reason for candidate in found], spotter.asked


def test_a_text_whose_labels_are_not_found_is_dropped() -> None:
    reasons, asked = judged(["for two nights", "for two people", "for one", "for two nights "], 0.8)
    assert reasons == [None, "spans_not_agreed", "missing_value", "duplicate_in_unit"]
    assert asked == ["for [nights two ] nights", "for [nights two ] people"]


def test_nothing_to_ask_is_not_asked() -> None:
    assert judged(["", "for one"], 0.8) == (["empty", "missing_value"], [])
    assert judged(["for two people"], 0.4)[0] == [None]


@pytest.mark.parametrize(
    ("kind", "span_agreement", "distance_weight", "with_models"),
    [
        ("tagging", 0.8, 0.0, True),
        ("tagging", 0.0, 0.0, False),
        ("multilabel", 0.8, 0.0, False),
        ("multilabel", 0.8, 1.0, True),
    ],
)
def test_a_judge_that_trains_taggers_is_one_with_models(
    kind: Kind, span_agreement: float, distance_weight: float, with_models: bool
) -> None:
    weights = {"distance_weight": distance_weight, "frequency_weight": 1.0 - distance_weight}
    config = RunConfig.model_validate(
        {
            "output_uri": "unused",
            "task": {"name": "jsonl", "path": "unused"},
            "denoise": {"span_agreement": span_agreement, "disagreement_weight": 0.0, **weights},
        }
    )
    assert judges_with_models(config, kind) == with_models
