"""The lexical rules: each fires on its own fault and on nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from msp.denoise.rules import RULES, lexical_reasons, normalise
from msp.records import Constraint, Example, Unit

SEED = Example("s0", "How do I check out after 6 pm?", ("how",), {"time": ("6 pm",)})
SHOWN = Example("s1", "check in today", ("check_in",))
HIDDEN = Example("s2", "is there a spa", ("spa",))
SEED_TEXTS = frozenset(normalise(e.text) for e in (SEED, SHOWN, HIDDEN))


REJECTED = frozenset([normalise("Bring me the lobby.")])


def reasons(texts: list[str], *, require_values: bool = True, **values: tuple[str, ...]):
    constraint = Constraint(("how",), values, "hotels")
    unit = Unit(7, 0, "msp", "s0", constraint, (SHOWN, SEED), len(texts), 1)
    return lexical_reasons(
        unit, texts, seed_texts=SEED_TEXTS, require_values=require_values, rejected=REJECTED
    )


def test_a_good_text_passes_every_rule() -> None:
    assert reasons(["when must we leave, 6 PM?"], time=("6 pm",)) == [None]


def test_blanks_and_bare_punctuation_are_empty() -> None:
    assert reasons(["", " \t\n", "?!...", "\u200b"]) == ["empty"] * 4


def test_a_repeated_exemplar_and_a_repeated_seed_example_are_told_apart() -> None:
    texts = ["CHECK  in, today!", "how do i check out after 6 pm", "Is there a spa?"]
    assert reasons(texts) == ["copy_of_exemplar", "copy_of_seed", "copy_of_seed"]


def test_a_copy_in_full_width_letters_is_still_a_copy() -> None:
    full_width = "".join(chr(ord(c) + 0xFEE0) if c > " " else c for c in "is there a spa")
    assert reasons([full_width]) == ["copy_of_seed"]


def test_what_a_reviewer_rejected_is_dropped_in_every_form_of_it() -> None:
    texts = ["bring me  the LOBBY", "bring me the lobby chair"]
    assert reasons(texts) == ["rejected_by_reviewer", None]


def test_the_second_of_two_equal_candidates_is_the_duplicate() -> None:
    assert reasons(["leave late", "Leave late.", "leave early"]) == [
        None,
        "duplicate_in_unit",
        None,
    ]


def test_a_candidate_is_no_duplicate_of_one_that_was_dropped() -> None:
    texts = ["leave at 6.pm", "leave at 6 pm"]
    assert reasons(texts, time=("6 pm",)) == ["missing_value", None]


def test_a_value_inside_a_longer_word_is_missing() -> None:
    texts = ["leave at 16 pm", "leave at 6 pmx", "leave (6 PM)", "leave at 6\npm"]
    assert reasons(texts, time=("6 pm",)) == ["missing_value", "missing_value", None, None]


def test_a_value_that_ends_in_punctuation_needs_no_boundary_there() -> None:
    assert reasons(["at 7 p.m.sharp", "at 17 p.m."], time=("7 p.m.",)) == [None, "missing_value"]


def test_every_value_of_every_slot_is_asked_for() -> None:
    asked = {"time": ("6 pm", "7 pm"), "name": ("Ann",)}
    texts = ["ann from 6 pm to 7 pm", "ann from 6 pm", "from 6 pm to 7 pm"]
    assert reasons(texts, **asked) == [None, "missing_value", "missing_value"]


def test_values_are_not_looked_for_where_they_are_not_required() -> None:
    assert reasons(["leave late"], require_values=False, time=("6 pm",)) == [None]


@given(st.lists(st.text(max_size=12), max_size=12))
def test_what_passes_is_never_empty_and_never_there_twice(texts: list[str]) -> None:
    found = reasons(texts)
    passed = [normalise(t) for t, reason in zip(texts, found, strict=True) if reason is None]
    assert len(set(passed)) == len(passed) and all(passed)
    assert set(found) <= {None, *RULES}


@given(st.text(max_size=20), st.text(max_size=8), st.text(max_size=8))
def test_a_text_with_the_value_between_blanks_has_it(value: str, left: str, right: str) -> None:
    found = reasons([f"x {left} {value} {right} y"], slot=(value,))
    assert found == [None]


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_plain_letters_are_normalised_as_any_others_are(text: str) -> None:
    assert normalise(text) == normalise(text + "\u200b")
