"""Of a broken reply every whole question is used, and each reason for the rest is counted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.denoise.salvage import (
    MAX_REPLY_CHARS,
    Broken,
    piece_of_line,
    pieces_of,
    read_piece,
)
from msp.tasks.base import QuestionForm
from msp.tasks.questions import ChoiceQuestion

OPEN = QuestionForm(3)
FIXED = QuestionForm(2, ("True", "False"))
TALES = QuestionForm(2, ("True", "False"), has_context=True)


def item(number: int, **more: Any) -> dict[str, Any]:
    return {
        "question": f"who has {number}?",
        "options": ["ann", "bob", "eve"],
        "label": "bob",
        **more,
    }


def fixed(number: int, **more: Any) -> dict[str, Any]:
    return item(number, options=["True", "False"], label="True", **more)


def said(*items: dict[str, Any]) -> str:
    return json.dumps(list(items))


def read(reply: str, form: QuestionForm = OPEN, *, max_items: int = 8) -> tuple[list[str], Counter]:
    found = [read_piece(p, form, ("True",)) for p in pieces_of(reply, max_items=max_items)]
    whole = [one.question for one in found if isinstance(one, ChoiceQuestion)]
    return whole, Counter(one.reason for one in found if isinstance(one, Broken))


BROKEN = {
    "prose around the list": (f"Sure! {said(item(1), item(2))} Hope {{that}} helps.", [1, 2], {}),
    "a fence": (f"```json\n{json.dumps(item(1), indent=2)}\n```", [1], {}),
    "one object a line": ("\n".join(json.dumps(item(n)) for n in (1, 2)), [1, 2], {}),
    "a list in an object": (json.dumps({"items": [item(1), item(2)]}), [1, 2], {}),
    "the end is cut off": (said(item(1), item(2))[:-30], [1], {"cut_off": 1}),
    "one in the middle is no json": (
        said(item(1)) + '{"question": who, "options": []}' + said(item(2)),
        [1, 2],
        {"not_json": 1},
    ),
    "a comma too many": ('{"question": "a",}, ' + said(item(2)), [2], {"not_json": 1}),
    "a field is missing": (
        said(item(1), {"question": "x", "label": "y"}),
        [1],
        {"wrong_fields": 1},
    ),
    "a field of another type": (said(item(1, question=["x"]), item(2)), [2], {"wrong_fields": 1}),
    "an option too few": (said(item(1, options=["ann", "bob"]), item(2)), [2],
                          {"wrong_number_of_options": 1}),
    "an option twice": (said(item(1, options=["ann", "bob", "Bob"]), item(2)), [2],
                        {"repeated_option": 1}),
    "an answer that is no option": (said(item(1, label="zoe"), item(2)), [2],
                                    {"label_not_an_option": 1}),
    "a question without a word": (said(item(1, question=" ?!"), item(2)), [2],
                                  {"empty_question": 1}),
    "half of a character pair": (said(item(1)) + '{"question": "x \\ud800?", "options": '
                                 '["ann", "bob", "eve"], "label": "eve"}', [1], {"not_json": 1}),
    "no object at all": ("I cannot do that.", [], {"no_item": 1}),
    "nothing": ("", [], {"no_item": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_every_whole_question_of_a_broken_reply_is_used_and_the_rest_has_its_reason(
    name: str,
) -> None:
    reply, whole, reasons = BROKEN[name]
    assert read(reply) == ([f"who has {number}?" for number in whole], Counter(reasons))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"options": ["yes", "no"], "label": "yes"}, "changed_options"),
        ({"options": ["False", "True"]}, "changed_options"),
        ({"label": "False"}, "other_label"),
        ({"label": "maybe"}, "label_not_an_option"),
        ({"label": None}, "wrong_fields"),
    ],
)
def test_fixed_options_are_unchanged_and_the_answer_is_the_one_that_was_asked_for(
    more: dict[str, Any], reason: str
) -> None:
    reply = said(fixed(1), fixed(2) | more)
    assert read(reply, FIXED) == (["who has 1?"], Counter([reason]))


def test_true_and_false_may_stand_without_quotes() -> None:
    reply = said(fixed(1) | {"options": [True, False], "label": True})
    assert read(reply, FIXED) == (["who has 1?"], Counter())


@pytest.mark.parametrize(("context", "reasons"), [("a tale", {}), ("", {"wrong_fields": 1})])
def test_a_context_is_there_where_the_task_has_one(context: str, reasons: dict[str, int]) -> None:
    _, found = read(said(fixed(1, context=context)), TALES)
    assert found == Counter(reasons)
    _, unasked = read(said(fixed(1, context="a tale")), FIXED)
    assert unasked == Counter(["wrong_fields"])


def test_a_reply_a_thousand_times_too_long_is_bounded() -> None:
    reply = said(*(item(n) for n in range(8))) * 1000
    assert len(reply) > 10 * MAX_REPLY_CHARS
    pieces = pieces_of(reply, max_items=8)
    assert len(pieces) == 9 and pieces[-1].reason == "reply_too_long"
    assert sum(len(piece.text) for piece in pieces) < 10_000
    whole, reasons = read(reply)
    assert len(whole) == 8 and reasons == Counter(["reply_too_long"])
    one, reasons = read(said(item(1, question="long " * 3000)))
    assert not one and reasons == Counter(["reply_too_long"])


@pytest.mark.parametrize("reply", ['{"a": ' * 20_000, '{"question": "' * 20_000, '[{"' * 20_000])
def test_what_is_nested_or_opened_without_end_is_no_question(reply: str) -> None:
    whole, reasons = read(reply)
    assert not whole and reasons.total() <= 9


@given(st.text())
def test_any_text_is_read_without_a_fault(text: str) -> None:
    whole, reasons = read('{"question": "' + text)
    assert whole or reasons.total()


@given(st.integers(0, 5), st.text(alphabet=st.characters(exclude_characters='{"')))
def test_what_stands_between_objects_costs_none_of_them(num: int, between: str) -> None:
    reply = between.join(["", *(json.dumps(item(n)) for n in range(num)), ""])
    whole, reasons = read(reply)
    assert len(whole) == num and reasons == Counter(["no_item"] * (not num))


@pytest.mark.parametrize(
    ("line", "form", "found"),
    [
        ("who has it? | ann | bob | eve | bob", OPEN, "bob"),
        ("who has it? | ann | bob | bob", OPEN, "wrong_number_of_options"),
        ("who has it? | ann | bob | eve | zoe", OPEN, "label_not_an_option"),
        ("is it so?", FIXED, "True"),
        ("is it so? | True", FIXED, "wrong_fields"),
        ("a tale | is it so?", TALES, "True"),
        (" | is it so?", TALES, "wrong_fields"),
        ("  ", FIXED, "no_item"),
        ("?", FIXED, "empty_question"),
        ("so " * MAX_REPLY_CHARS, FIXED, "reply_too_long"),
    ],
)
def test_a_line_is_a_question_where_every_field_is_there(
    line: str, form: QuestionForm, found: str
) -> None:
    read = read_piece(piece_of_line(line, form, ("True",), is_cut=False), form, ("True",))
    assert (read.reason if isinstance(read, Broken) else read.label) == found
    cut = piece_of_line(line, form, ("True",), is_cut=True)
    assert cut.reason == ("no_item" if found == "no_item" else "cut_off")
    assert len(cut.text) <= 500
