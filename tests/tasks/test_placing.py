"""A generated text is labelled where the asked strings stand in it, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.records import Constraint
from msp.tasks.brackets import read_brackets, spans_in, words_in, write_brackets
from msp.tasks.placing import fill_parse, split_words, tag_characters, tag_values, target_of

PARSE = (
    "[IN:CREATE remind [SL:WHO me ] to [SL:TODO [IN:CALL call [SL:NAME Ann ] ] ] [SL:AT at 5 ] ]"
)


def tagged(text: str, **values: list[str]) -> str | None:
    forest = tag_values(text, values)
    return None if forest is None else write_brackets(forest)


def test_marks_around_words_stand_alone_and_those_inside_stay() -> None:
    text = '"Go" to the doctor \'s (Dr. A.B. Li) at 5:30 p.m., ok?'
    assert split_words(text) == [
        *('"', "Go", '"', "to", "the", "doctor", "'s", "(", "Dr", ".", "A.B.", "Li", ")"),
        *("at", "5:30", "p.m.", ",", "ok", "?"),
    ]


@given(st.text())
def test_splitting_loses_nothing_but_space_and_does_it_once(text: str) -> None:
    words = split_words(text)
    assert "".join(words) == "".join(text.split())
    assert split_words(" ".join(words)) == words


def test_every_occurrence_is_labelled_whatever_its_case() -> None:
    found = tagged("Paris? I love paris.", city=["Paris"])
    assert found == "[city Paris ] ? I love [city paris ] ."


def test_a_longer_value_keeps_a_shorter_one_out_of_it() -> None:
    found = tagged("the New York Times of York", paper=["New York Times"], city=["York"])
    assert found == "the [paper New York Times ] of [city York ]"


@pytest.mark.parametrize("text", ["the New York Times", "nothing", "newyork times york-like"])
def test_a_text_in_which_a_value_has_no_place_of_its_own_is_not_labelled(text: str) -> None:
    assert tagged(text, paper=["New York Times"], city=["York"]) is None


def test_two_labels_for_one_string_cannot_be_told_apart() -> None:
    assert tagged("two adults and two kids", adults=["two"], kids=["two"]) is None


def test_characters_label_the_words_that_they_touch_and_the_longer_span_wins() -> None:
    spans = [(0, 3, "number"), (8, 22, "when"), (13, 22, "part")]
    forest = tag_characters("10% off this afternoon", spans)
    assert write_brackets(forest) == "[number 10% ] off [when this afternoon ]"


def test_a_parse_keeps_its_tree_over_another_text() -> None:
    forest = fill_parse("At 5, please tell ME to call ann!", read_brackets(PARSE))
    assert forest is not None and write_brackets(forest) == (
        "[IN:CREATE [SL:AT At 5 ] , please tell [SL:WHO ME ] to "
        "[SL:TODO [IN:CALL call [SL:NAME ann ] ] ] ! ]"
    )


def test_a_parse_over_its_own_text_is_itself() -> None:
    template = read_brackets(PARSE)
    assert fill_parse(" ".join(words_in(template)), template) == template


@pytest.mark.parametrize("text", ["tell me to call Ann", "remind me at 5 to call", "call Ann at 5"])
def test_a_parse_whose_slots_are_not_all_there_is_none(text: str) -> None:
    assert fill_parse(text, read_brackets(PARSE)) is None


@given(st.lists(st.sampled_from(["me", "call", "Ann", "at", "5", "to", "a"]), max_size=12))
def test_a_filled_parse_has_the_texts_words_and_the_templates_labels(words: list[str]) -> None:
    template = read_brackets(PARSE)
    forest = fill_parse(" ".join(words), template)
    if forest is not None:
        assert words_in(forest) == words
        labels = sorted(span.label for span in spans_in(template))
        assert sorted(span.label for span in spans_in(forest)) == labels


def test_a_label_that_was_asked_without_a_string_leaves_no_target() -> None:
    asked = Constraint(("city", "how"), {}, "d")
    assert target_of(asked, "how is Paris", kind="tagging", labels=("city",)) is None
    assert target_of(asked, "how is Paris", kind="tagging", labels=("time",)) == "how is Paris"
