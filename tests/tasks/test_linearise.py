"""Targets spell labels and values in one line, and give them back whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.errors import TaskDataError
from msp.records import Constraint, Example
from msp.tasks.linearise import linearise, parse_target

hard_text = st.text() | st.text(alphabet=" \\,;:|nrse\n\ré")


def test_a_target_reads_like_a_note() -> None:
    values = {"date": ("tomorrow", "today"), "time": ("6 pm",)}
    example = Example("u", "text", ("check_in", "how"), values)
    assert linearise(example) == "check_in, how | date: tomorrow; today | time: 6 pm"
    assert linearise(Example("u", "text")) == ""
    assert linearise(Constraint((), {"time": ("6: 30 pm",)}, "d")) == r"| time: 6\: 30 pm"


@given(st.lists(hard_text), st.dictionaries(hard_text, st.lists(hard_text).map(tuple)))
def test_parsing_gives_back_what_was_spelled(
    attributes: list[str], values: dict[str, tuple[str, ...]]
) -> None:
    target = linearise(Constraint(tuple(attributes), values, "d"))
    assert "\n" not in target and "\r" not in target
    assert parse_target(target) == (tuple(attributes), values)
    assert list(parse_target(target)[1]) == list(values)


@pytest.mark.parametrize(
    "target",
    ["a | date", "a | date: x | date: y", "a, , b", "a: b", "a | : x", "a | d: x: y", "a\\"],
)
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(TaskDataError, match="write 'label, label"):
        parse_target(target)


@given(hard_text)
def test_any_other_text_is_parsed_or_refused_and_a_parsed_one_is_stable(target: str) -> None:
    try:
        attributes, values = parse_target(target)
    except TaskDataError as error:
        assert len(str(error)) < 500
    else:
        again = linearise(Constraint(attributes, values, "d"))
        assert parse_target(again) == (attributes, values)
