"""The context that asks for a text between two classes (PromptMix, arXiv 2310.14192).

It has the lines that the frozen LM knows from every other context: what classes
mean, numbered examples of the group's classes, the asked one's last, and one open
line that names both classes. The shares stand in a sentence before all of them: in the
open line the LM that ships takes "75%" for the topic, and writes of percentages.
"""

from __future__ import annotations

from collections.abc import Sequence

from msp.config import PromptsConfig
from msp.prompts.text import attribute_words, render_context
from msp.records import Example, Unit
from msp.tasks.ontology import Ontology


def render_mix(
    unit: Unit,
    exemplars: Sequence[Example],
    *,
    ontology: Ontology,
    prompts: PromptsConfig,
    described: bool,
    in_words: bool,
) -> str:
    """Return the context of a unit that has a mix.

    ::

        location: the answer is a place
        entity: the answer is a thing, a work or a substance
        Line 3 is 75% location and 25% entity.
        Utterances in the questions domain:
        1) entity: What is a group of turkeys called ?
        2) location: What county is Modesto , California in ?
        3) location; entity:

    Args:
        unit: with ``mix``.
        exemplars: of the unit, the farthest perhaps left out.
        ontology: gives names in words, and descriptions.
        prompts: ``attributes_in_text`` matters where ``in_words`` is false.
        described: explain the group's classes that have a description.
        in_words: write shares and descriptions out; false leaves both to soft prompts.

    Raises:
        TaskDataError: a class is not in the ontology.
    """
    assert unit.mix is not None
    classes = [ontology.all[ontology.index(name)] for name in unit.mix.group]
    shown = [a for a in classes if a.is_described] if described and in_words else []
    glossary = [f"{a.words}: {' '.join(a.description.split())}" for a in shown]
    own = attribute_words(unit.constraint.attributes, ontology)
    asked = own
    # A second class without a share is none.
    if unit.mix.attribute is not None and unit.mix.alpha < 1:
        other = attribute_words((unit.mix.attribute,), ontology)
        asked = f"{own}; {other}"
        if in_words:
            share = round(100 * unit.mix.alpha)
            line = len(exemplars) + 1
            glossary.append(f"Line {line} is {share}% {own} and {100 - share}% {other}.")
    return render_context(
        unit.constraint,
        exemplars,
        ontology,
        attributes_in_text=in_words or prompts.attributes_in_text,
        asked=asked,
        glossary=glossary,
    )
