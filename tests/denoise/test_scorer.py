"""The judge: verdicts of whole units, with the real sentence encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msp.config import DenoiseConfig
from msp.denoise.scorer import UnitScorer
from msp.errors import TaskDataError
from msp.models.encoder import SentenceEncoder, load_encoder
from msp.records import CANDIDATES_SCHEMA, Constraint, Example, Generated, Unit, unit_row
from msp.students.labeller import SeedLabeller
from msp.tasks.linearise import parse_target

SEEDS = (
    Example("s0", "how do i check out after 6 pm", ("how",), {"time": ("6 pm",)}),
    Example("s1", "is there a spa at the hotel", ("spa",)),
)
MSP_WEIGHTS = {"frequency_weight": 0.5, "distance_weight": 0.5, "disagreement_weight": 0.0}
CONFIG = DenoiseConfig(num_kept_per_unit=2, max_noise_score=0.45, **MSP_WEIGHTS)


class CountingEncoder:
    """The real encoder, with every text it was asked for."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self.asked: list[list[str]] = []

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        self.asked.append(list(texts))
        return self._encoder.encode(texts, batch_size=batch_size)


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_encoder("minilm", device="cpu")


def unit(number: int, seed: Example, texts: Sequence[str]) -> tuple[Unit, list[Generated]]:
    constraint = Constraint(seed.attributes, seed.values, "hotels")
    asked = Unit(number, 0, "msp", seed.uid, constraint, (seed,), len(texts), 1)
    return asked, [Generated(text, 3, -1.5) for text in texts]


def test_a_text_that_the_seed_examples_classifier_takes_for_another_label_is_noisier(
    encoder,
) -> None:
    config = DenoiseConfig(frequency_weight=0, distance_weight=0, disagreement_weight=1)
    labeller = SeedLabeller(SEEDS, ("how", "spa"), encoder, seed=1)
    asked, made = unit(0, SEEDS[1], ["where is the hotel's spa", "how do i check out at noon"])
    (judged,) = UnitScorer(config, encoder, SEEDS, labeller=labeller).judge([asked], [made])
    assert judged[0].noise_score < 0.5 < judged[1].noise_score


def test_what_the_lm_itself_finds_improbable_is_dropped_and_not_encoded(encoder) -> None:
    counting = CountingEncoder(encoder)
    scorer = UnitScorer(CONFIG.model_copy(update={"max_surprise": 2.0}), counting, SEEDS)
    asked, _ = unit(0, SEEDS[1], ["a", "b", "c"])
    made = [
        Generated("the hotel's spa", 4, -8.0),
        Generated("we can make the walls", 4, -8.1),
        Generated("", 0, 0.0),
    ]
    (judged,) = scorer.judge([asked], [made])
    assert [candidate.reason for candidate in judged] == [None, "unlikely", "empty"]
    assert counting.asked[0] == ["the hotel's spa"]


TEXTS = [
    "the weather in norway was cold at 6 pm",
    "how can i check out later than 6 pm",
    "how do i check out after 6 pm",
    "when is check out if i leave by 6 pm",
    "check out after 6 pm, how does it work",
    "how do i check out late",
]


def test_every_candidate_has_its_verdict_and_its_reason(encoder) -> None:
    asked, made = unit(3, SEEDS[0], TEXTS)
    (judged,) = UnitScorer(CONFIG, encoder, SEEDS).judge([asked], [made])
    reasons = [c.reason for c in judged]
    assert [reasons[0], reasons[2], reasons[5]] == ["off_topic", "copy_of_seed", "missing_value"]
    assert sorted(str(reasons[k]) for k in (1, 3, 4)) == ["None", "None", "over_quota"]
    assert [c.candidate_id for c in judged] == [3 * 65536 + k for k in range(6)]
    assert all(c.kept == (c.reason is None) for c in judged)
    assert parse_target(judged[0].target) == (("how",), {"time": ("6 pm",)})
    assert CANDIDATES_SCHEMA.field("candidates") and unit_row(asked, judged)["id"] == 3


def test_scores_follow_the_formula_and_are_missing_where_a_lexical_rule_came_first(encoder) -> None:
    asked, made = unit(0, SEEDS[0], TEXTS)
    (judged,) = UnitScorer(CONFIG, encoder, SEEDS).judge([asked], [made])
    cosine = float(np.dot(*encoder.encode([SEEDS[0].text, TEXTS[1]])))
    assert judged[1].similarity == pytest.approx(cosine, abs=1e-5)
    assert judged[1].noise_score == pytest.approx(0.5 * 0.5 + 0.5 * (1 - cosine), abs=1e-5)
    assert math.isnan(judged[2].noise_score) and math.isnan(judged[5].similarity)
    assert judged[2].attribute_overlap == 0.5


def test_what_a_lexical_rule_drops_is_never_encoded_and_seeds_are_encoded_once(encoder) -> None:
    counting = CountingEncoder(encoder)
    scorer = UnitScorer(CONFIG, counting, SEEDS)
    for number in range(2):
        scorer.judge(*map(list, zip(unit(number, SEEDS[0], ["", TEXTS[1], TEXTS[1]]), strict=True)))
    seeds = [seed.text for seed in SEEDS]
    assert counting.asked == [[TEXTS[1]], seeds, [TEXTS[1]]]


def test_units_without_candidates_or_with_bad_ones_alone_need_no_encoder(encoder) -> None:
    counting = CountingEncoder(encoder)
    pairs = [unit(0, SEEDS[0], []), unit(1, SEEDS[1], ["", "?"])]
    judged = UnitScorer(CONFIG, counting, SEEDS).judge(*map(list, zip(*pairs, strict=True)))
    assert [len(of_unit) for of_unit in judged] == [0, 2] and counting.asked == []


def test_a_unit_of_another_plan_is_refused(encoder) -> None:
    asked, made = unit(5, Example("s9", "x"), ["a text"])
    with pytest.raises(TaskDataError, match=r"unit 5 .* 's9'.*2 seed examples"):
        UnitScorer(CONFIG, encoder, SEEDS).judge([asked], [made])


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(3)))
def test_verdicts_do_not_depend_on_the_order_or_company_of_units(encoder, order) -> None:
    pairs = [unit(0, SEEDS[0], TEXTS), unit(1, SEEDS[1], TEXTS), unit(2, SEEDS[1], TEXTS[::-1])]
    scorer = UnitScorer(CONFIG, encoder, SEEDS)
    alone = [scorer.judge([asked], [made])[0] for asked, made in pairs]
    together = scorer.judge([pairs[i][0] for i in order], [pairs[i][1] for i in order])
    for position, index in enumerate(order):
        assert [c.reason for c in together[position]] == [c.reason for c in alone[index]]


def test_rules_and_frequencies_alone_need_no_encoder(encoder: SentenceEncoder) -> None:
    weights = {"frequency_weight": 1.0, "distance_weight": 0.0, "disagreement_weight": 0.0}
    config = DenoiseConfig(**weights)
    asked, made = unit(0, SEEDS[1], ["where is the hotel's spa", "", "is there a spa at all"])
    (without,) = UnitScorer(config, None, SEEDS).judge([asked], [made])
    (with_it,) = UnitScorer(config, encoder, SEEDS).judge([asked], [made])
    assert [(c.kept, c.reason) for c in without] == [(c.kept, c.reason) for c in with_it]
    assert without[0].noise_score == with_it[0].noise_score
    assert math.isnan(without[0].similarity) and not math.isnan(with_it[0].similarity)
