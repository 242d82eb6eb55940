"""The context that asks for a text between two classes, word for word."""

from __future__ import annotations

from msp.config import PromptsConfig
from msp.prompts.mixed_text import render_mix
from msp.records import Attribute, Constraint, Example, Mix, Unit
from msp.tasks.ontology import Ontology

ONTOLOGY = Ontology((Attribute("lost_card", "the card is gone"), Attribute("new_card", "new card")))
SHOWN = (
    Example("b", "where do i order", ("new_card",), {}, "banking"),
    Example("a", "i cannot find it", ("lost_card",), {}, "banking"),
)


def rendered(mix: Mix, *, in_words: bool = True, described: bool = True, **prompts: bool) -> str:
    constraint = Constraint(("lost_card",), {}, "banking")
    unit = Unit(0, 0, "promptmix", "a", constraint, SHOWN, 5, 0, mix)
    return render_mix(
        unit,
        SHOWN,
        ontology=ONTOLOGY,
        prompts=PromptsConfig(**prompts),
        described=described,
        in_words=in_words,
    )


BOTH = ("new_card", "lost_card")
HEAD = (
    "Utterances in the banking domain:\n"
    "1) new card: where do i order\n2) lost card: i cannot find it\n"
)


def test_shares_and_the_descriptions_that_are_given_are_written_out() -> None:
    text = rendered(Mix("new_card", 0.75, BOTH))
    share = "Line 3 is 75% lost card and 25% new card."
    assert text == f"lost card: the card is gone\n{share}\n{HEAD}3) lost card; new card:"


def test_without_a_partner_or_a_share_for_it_the_class_stands_alone() -> None:
    assert rendered(Mix(None, 1.0, BOTH), described=False) == f"{HEAD}3) lost card:"
    assert rendered(Mix("new_card", 1.0, BOTH), described=False) == f"{HEAD}3) lost card:"


def test_soft_prompts_carry_the_shares_so_the_text_does_not() -> None:
    mix = Mix("new_card", 0.6, BOTH)
    assert rendered(mix, in_words=False) == f"{HEAD}3) lost card; new card:"
    bare = rendered(mix, in_words=False, attributes_in_text=False)
    assert bare.splitlines()[-1] == "3)" and "lost card" not in bare
