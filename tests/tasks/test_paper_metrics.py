"""MSP's own figures: lenient where the standard ones are not, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.tasks.brackets import read_brackets
from msp.tasks.paper_metrics import paper_entity_scores, paper_label_scores, paper_parse_scores


def test_precision_and_recall_are_means_over_examples() -> None:
    gold = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    said = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=bool)
    scores = paper_label_scores(gold, said)
    assert scores["paper_precision"] == pytest.approx(100 * (1 + 0.5 + 0) / 3)
    assert scores["paper_recall"] == pytest.approx(100 * (0.5 + 1 + 0) / 3)
    assert scores["paper_f1"] == pytest.approx(50.0)


def test_an_entity_that_covers_the_gold_one_is_precise_but_does_not_find_it() -> None:
    gold = [read_brackets("the [band Rolling Stones ] played")]
    said = [read_brackets("[band the Rolling Stones played ]")]
    scores = paper_entity_scores(gold, said)
    assert scores["paper_precision"] == 100.0 and scores["paper_recall"] == 0.0
    assert paper_entity_scores(gold, gold)["paper_f1"] == pytest.approx(100.0)


def test_a_long_entity_loses_its_type_and_matches_nothing() -> None:
    gold = [read_brackets("[award b c d e f g h ]")]
    assert paper_entity_scores(gold, gold)["paper_f1"] == 0.0


def test_half_a_parse_counts_half() -> None:
    gold = [read_brackets("[IN:A x [SL:P y ] [SL:Q [IN:B z ] ] ]")]
    wrong_slots = [read_brackets("[IN:A x y [SL:Q [IN:B z ] ] ]")]
    scores = paper_parse_scores(gold, wrong_slots)
    assert scores["paper_exact_match"] == 50.0
    assert scores["paper_intent_accuracy"] == 100.0 and scores["paper_slot_accuracy"] == 50.0
    assert set(paper_parse_scores(gold, gold).values()) == {100.0}


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**12 - 1))
def test_figures_are_percentages(gold: int, said: int) -> None:
    rows = [
        np.array([bits >> i & 1 for i in range(12)], dtype=bool).reshape(3, 4)
        for bits in (gold, said)
    ]
    assert all(0 <= value <= 100 for value in paper_label_scores(*rows).values())
