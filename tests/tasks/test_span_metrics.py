"""Span figures agree with seqeval, label figures with scikit-learn, on whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from sklearn.metrics import accuracy_score
from sklearn.metrics import f1_score as sklearn_f1

from msp.errors import TaskDataError
from msp.tasks.brackets import Forest, Span, forest_of, read_brackets
from msp.tasks.metrics import single_label_scores
from msp.tasks.span_metrics import entity_scores, label_f1, parse_scores

TYPES = ("person", "place")
tags = st.sampled_from(["O", *(f"{mark}-{name}" for name in TYPES for mark in "BI")])
sentences = st.lists(
    st.lists(st.tuples(tags, tags), min_size=1, max_size=8), min_size=1, max_size=5
)


def as_bio(row: list[str]) -> list[str]:
    """Make an I that continues nothing a B, as data and students here always write it."""
    before = "O"
    fixed = []
    for tag in row:
        before = f"B{tag[1:]}" if tag[0] == "I" and before[2:] != tag[2:] else tag
        fixed.append(before)
    return fixed


def as_forest(row: list[str]) -> Forest:
    spans: list[Span] = []
    for place, tag in enumerate(row):
        if tag[0] == "B":
            spans.append(Span(place, place + 1, tag[2:]))
        elif tag[0] == "I":
            spans[-1] = Span(spans[-1].start, place + 1, spans[-1].label)
    return forest_of([f"w{i}" for i in range(len(row))], spans)


@given(sentences)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_entities_are_counted_as_seqeval_counts_them(pairs) -> None:
    gold, said = ([as_bio([pair[side] for pair in row]) for row in pairs] for side in (0, 1))
    forests = [[as_forest(row) for row in rows] for rows in (gold, said)]
    scores = entity_scores(*forests)
    for name, reference in (
        ("entity_f1", f1_score),
        ("entity_precision", precision_score),
        ("entity_recall", recall_score),
    ):
        assert scores[name] == pytest.approx(100 * reference(gold, said, zero_division=0))
    if any(tag != "O" for rows in (gold, said) for row in rows for tag in row):
        report = classification_report(gold, said, output_dict=True, zero_division=0)
        for name, f1 in label_f1(*forests).items():
            assert f1 == pytest.approx(100 * report[name]["f1-score"])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_single_labels_are_counted_as_scikit_learn_counts_them(pairs) -> None:
    gold, said = (np.array(side) for side in zip(*pairs, strict=True))
    scores = single_label_scores(np.eye(4, dtype=bool)[gold], np.eye(4, dtype=bool)[said])
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(gold, said))
    expected = sklearn_f1(gold, said, labels=sorted({*gold}), average="macro", zero_division=0)
    assert scores["macro_f1"] == pytest.approx(100 * expected)


def test_a_parse_is_right_only_as_a_whole() -> None:
    gold = [read_brackets("[IN:A x [SL:P y ] [SL:Q [IN:B z ] ] ]")] * 3
    said = [
        gold[0],
        read_brackets("[IN:A x [SL:P y ] [SL:Q z ] ]"),
        read_brackets("[IN:C [SL:P x y ] z ]"),
    ]
    scores = parse_scores(gold, said)
    assert scores["exact_match"] == pytest.approx(100 / 3)
    assert scores["intent_accuracy"] == pytest.approx(200 / 3)
    assert scores["slot_f1"] == pytest.approx(100 * 2 * 4 / (6 + 5))


@pytest.mark.parametrize("score", [entity_scores, parse_scores])
def test_nothing_to_score_is_an_error(score) -> None:
    with pytest.raises(TaskDataError, match="no example to score"):
        score([], [])
