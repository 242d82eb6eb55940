"""What an LM without soft prompts is shown: what labels mean, exemplars, a way of thinking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msp.prompts.text import present_names, render_context
from msp.records import Constraint, Example
from msp.tasks.ontology import Ontology

# Stands between a line's reasoning and its text.
_MARKER = "=>"
_NUM_OPENING_WORDS = 2


def plain(constraint: Constraint, exemplars: Sequence[Example], ontology: Ontology) -> str:
    """Return exemplars and the open line alone."""
    return render_context(constraint, exemplars, ontology, attributes_in_text=True)


def described(constraint: Constraint, exemplars: Sequence[Example], ontology: Ontology) -> str:
    """Return what each asked attribute means, a line each, then :func:`plain`.

    The best of four forms on the LM that ships (440 units of the sample task, four candidates
    each): labels that a classifier of the dev and test examples finds, and asked values that
    occur, were 45.1 and 81 % with descriptions, 44.2 and 73 % with exemplars alone, 43.3 and
    78 % after the text that the instruction prompt starts from, 44.5 and 76 % after both.
    """
    places = map(ontology.index, present_names(constraint, ontology))
    asked = [ontology.all[place] for place in places]
    lines = [
        f"{attribute.words}: {' '.join(attribute.description.split())}"
        for attribute in asked
        if attribute.description != attribute.words  # which is what stands in where there is none
    ]
    return "\n".join([*lines, plain(constraint, exemplars, ontology)])


def reasoned(constraint: Constraint, exemplars: Sequence[Example], ontology: Ontology) -> str:
    """Return :func:`plain` with a line of reasoning before each exemplar's text.

    It names the labels and strings that the text must carry, and a plan: how it opens.
    """
    thought = [replace(e, text=f"{_reasoning(e, ontology)} {_MARKER} {e.text}") for e in exemplars]
    return plain(constraint, thought, ontology)


def answer(text: str) -> str:
    """Return what follows the reasoning; empty where no marker ends it."""
    _, *parts = text.split(_MARKER)
    return parts[0].strip() if parts else ""


def _reasoning(example: Example, ontology: Ontology) -> str:
    places = map(ontology.index, ontology.order(example.attributes))
    names = " and ".join(ontology.all[place].words for place in places)
    strings = [f'"{text}"' for found in example.values.values() for text in found]
    opening = " ".join(example.text.split()[:_NUM_OPENING_WORDS])
    steps = [
        f"express {names}" if names else "",
        f"mention {' and '.join(strings)}" if strings else "",
        f'open with "{opening}"',
    ]
    return "; ".join(step for step in steps if step)
