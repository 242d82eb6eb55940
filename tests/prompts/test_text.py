"""The text after the soft prompts has exactly the form that the shipped LM was pre-trained on."""

from __future__ import annotations

import pytest

from msp.errors import TaskDataError
from msp.prompts.text import instruction_text, present_names, render_context, render_target
from msp.records import Constraint, Example
from msp.tasks.ontology import Ontology

ASKED = Constraint(("how", "check_out"), {"name": ("Ann Lee",), "time": ("6 pm", "7 pm")}, "desk")


def test_a_context_is_a_header_numbered_exemplars_and_one_open_line(
    ontology: Ontology, seeds: tuple[Example, ...]
) -> None:
    text = render_context(ASKED, [seeds[6], seeds[3]], ontology, attributes_in_text=True)
    assert text == (
        "Utterances in the desk domain:\n"
        "1) check out; how: how do i check out\n"
        "2) refund [John Smith]: a refund for John Smith\n"
        "3) check out; how [6 pm; 7 pm; Ann Lee]:"
    )


def test_without_attributes_in_text_only_values_are_written_out(
    ontology: Ontology, seeds: tuple[Example, ...]
) -> None:
    text = render_context(ASKED, [seeds[6], seeds[3]], ontology, attributes_in_text=False)
    assert text == (
        "Utterances in the desk domain:\n"
        "1) how do i check out\n"
        "2) [John Smith] a refund for John Smith\n"
        "3) [6 pm; 7 pm; Ann Lee]"
    )


def test_an_exemplar_is_the_same_text_as_an_open_line_with_its_target(
    ontology: Ontology, seeds: tuple[Example, ...]
) -> None:
    exemplar = seeds[0]
    constraint = Constraint(exemplar.attributes, exemplar.values, exemplar.domain)
    opened = render_context(constraint, [], ontology, attributes_in_text=True)
    shown = render_context(ASKED, [exemplar], ontology, attributes_in_text=True)
    first_line = shown.splitlines()[1]
    assert opened.splitlines()[1] + render_target(exemplar.text) == first_line + "\n"


def test_a_text_with_line_breaks_stays_on_its_line() -> None:
    assert render_target("two\nlines\r\n here ") == " two lines here\n"


def test_a_constraint_with_a_slot_alone_has_no_attribute_part(ontology: Ontology) -> None:
    asked = Constraint((), {"time": ("noon",)}, "front_desk")
    text = render_context(asked, [], ontology, attributes_in_text=True)
    assert text == "Utterances in the front desk domain:\n1) [noon]:"


def test_present_names_follow_the_ontology_and_skip_empty_slots(ontology: Ontology) -> None:
    asked = Constraint(("how", "check_out"), {"name": (), "time": ("6",)}, "desk")
    assert present_names(asked, ontology) == ("check_out", "how", "time")


def test_an_unknown_attribute_is_named_with_the_nearest_known_one(ontology: Ontology) -> None:
    with pytest.raises(TaskDataError, match=r"refnd.*did you mean 'refund'"):
        render_context(Constraint(("refnd",), {}, "d"), [], ontology, attributes_in_text=True)


def test_the_instruction_asks_for_the_number_of_utterances() -> None:
    assert "3 distinct utterances" in instruction_text(3)
