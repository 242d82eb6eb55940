"""Brackets: what is written is read back, and what is not balanced is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.errors import TaskDataError
from msp.tasks.brackets import (
    MAX_DEPTH,
    Forest,
    Node,
    Span,
    forest_of,
    labels_in,
    read_brackets,
    spans_in,
    words_in,
    write_brackets,
)

PARSE = "[IN:CREATE remind [SL:WHO me ] to [SL:TODO [IN:CALL call [SL:NAME Ann ] ] ] ]"

words = (
    st.text(st.characters(codec="utf-8"), min_size=1)
    .map(lambda text: "".join(text.split()))
    .filter(bool)
)
labels = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda text: text.isprintable() and text == text.strip() and text
)
forests = st.recursive(
    words,
    lambda parts: st.builds(Node, labels, st.lists(parts, max_size=4).map(tuple)),
    max_leaves=12,
).flatmap(lambda part: st.just((part,)))


@given(st.lists(forests, max_size=4).map(lambda parts: sum(parts, ())))
def test_what_is_written_is_read_back(forest: Forest) -> None:
    assert read_brackets(write_brackets(forest)) == forest


@given(st.text())
def test_any_line_is_read_or_refused_with_words(line: str) -> None:
    try:
        forest = read_brackets(line)
    except TaskDataError as error:
        assert len(str(error)) > 20
    else:
        assert read_brackets(write_brackets(forest)) == forest


def test_a_parse_has_its_labels_words_and_spans() -> None:
    forest = read_brackets(PARSE)
    assert words_in(forest) == ["remind", "me", "to", "call", "Ann"]
    assert labels_in(forest) == ["IN:CREATE", "SL:WHO", "SL:TODO", "IN:CALL", "SL:NAME"]
    assert Span(4, 5, "SL:NAME") in spans_in(forest) and Span(3, 5, "SL:TODO") in spans_in(forest)
    assert write_brackets(forest) == PARSE


def test_spans_and_words_make_the_forest_again() -> None:
    forest = read_brackets(PARSE)
    assert forest_of(words_in(forest), spans_in(forest)) == forest


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[IN:A b", r"'\[IN:A' at piece 1 is never closed"),
        ("[IN:A b ] ]", r"the '\]' at piece 4 closes nothing"),
        ("a [ b ]", r"the '\[' at piece 2 has no label"),
        ("[A " * (MAX_DEPTH + 1), "nested deeper than 60"),
    ],
)
def test_what_is_not_balanced_is_refused_with_its_place(line: str, message: str) -> None:
    with pytest.raises(TaskDataError, match=message):
        read_brackets(line)
