"""Texts that hold a value which nobody asked for are found by what seed examples label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.denoise.unasked import LabelledWords

SEEDS = (
    "book [place the annex ] on [date 3 May ]",
    "is [date Monday ] free , or [date tomorrow ] ?",
    "is [date tomorrow at 10 am ] too late ?",
    "i leave on [date 20th June ] with my wife",
    "[IN:GET_TIME when does [SL:PLACE the Spa ] open ]",
)


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("a table for [date 3 May ] or tomorrow", "tomorrow"),  # a word they label
        ("from [date Monday ] to a 9th", "9th"),  # digits
        ("i am here from [date Monday ]", None),  # labelled once, by chance
        ("with Alma on [date Monday ]", "Alma"),  # a capital inside the sentence
        ("Alma leaves on [date Monday ]", None),  # and at its start
        ("my wife and I leave on [date 3 May ]", None),
        ("[IN:GET_TIME is [SL:PLACE the Spa ] open tomorrow ]", "tomorrow"),
        ("", None),
    ],
)
def test_a_word_that_seed_examples_mostly_label_is_found_outside_the_labels(
    target: str, word: str | None
) -> None:
    assert LabelledWords(SEEDS).unasked(target) == word


@given(st.sampled_from(SEEDS))
def test_a_seed_example_has_no_unasked_word_where_words_are_always_labelled_alike(
    target: str,
) -> None:
    assert LabelledWords(SEEDS).unasked(target) is None


def test_without_seed_examples_nothing_is_unasked() -> None:
    assert LabelledWords(()).unasked("on 3 May with Alma") is None
