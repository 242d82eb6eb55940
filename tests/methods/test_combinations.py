"""New combinations are of labels that go together, and a single-label task has none."""

from __future__ import annotations

import pytest

from msp.config import GenerateConfig
from msp.methods.combinations import make_compatible, most_labels, novel_weights
from msp.records import Example

TOGETHER = (
    ("ask", "gym"),
    ("ask", "pool"),
    ("ask", "spa"),
    ("book", "spa"),
    ("book", "table"),
    ("bye",),
)


def seeds(combinations: tuple[tuple[str, ...], ...] = TOGETHER) -> list[Example]:
    return [Example(f"s:{i}", f"text {i}", labels) for i, labels in enumerate(combinations)]


def drawn(compatibility: str) -> set[frozenset[str]]:
    config = GenerateConfig.model_validate({"compatibility": compatibility})
    return set(novel_weights(config, seeds(), 1))


@pytest.mark.parametrize("compatibility", ["any", "companions", "classifier"])
def test_no_new_combination_is_one_that_a_seed_example_has_or_larger_than_any(
    compatibility: str,
) -> None:
    known = {frozenset(labels) for labels in TOGETHER}
    assert not drawn(compatibility) & known
    assert all(len(labels) <= 2 for labels in drawn(compatibility))


def test_companions_lets_a_label_go_where_its_like_was_seen() -> None:
    compatible = make_compatible("companions", seeds())
    assert compatible("book", "gym") and compatible("ask", "table")
    assert not compatible("gym", "pool") and not compatible("bye", "ask")
    assert frozenset({"bye", "ask"}) in drawn("any") - drawn("companions")


def test_the_classifier_learns_that_an_action_goes_with_things_and_not_with_actions() -> None:
    actions, things = ("ask", "book", "cancel", "change"), ("gym", "pool", "spa", "table", "room")
    missing = {("book", "gym"), ("change", "pool")}
    pairs = tuple((a, t) for a in actions for t in things if (a, t) not in missing)
    compatible = make_compatible("classifier", seeds((*pairs, ("bye",))))
    assert all(compatible(*pair) for pair in missing)
    assert not compatible("gym", "pool") and not compatible("ask", "book")
    assert not compatible("bye", "gym")


def test_a_single_label_task_has_no_new_combinations() -> None:
    single = seeds((("a",), ("b",), ("c",)))
    assert most_labels(single) == 1
    assert not novel_weights(GenerateConfig(), single, 1)
