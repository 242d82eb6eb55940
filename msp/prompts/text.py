"""The text that follows the soft prompts: a header, numbered exemplars and one open line.

The form is a contract with the LM that ships with the project, which was
pre-trained on lines like these; a change here is a change of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msp.config import PromptsConfig
from msp.records import Constraint, Example
from msp.tasks.ontology import Ontology


def render_context(
    constraint: Constraint,
    exemplars: Sequence[Example],
    ontology: Ontology,
    *,
    attributes_in_text: bool,
    asked: str | None = None,
    glossary: Sequence[str] = (),
) -> str:
    """Return the prompt text that a frozen LM continues with one utterance.

    Every exemplar is a finished numbered line and the constraint is the last,
    open one. With ``attributes_in_text`` False the labels are left to the soft
    prompts, and only slot values are written out.

    Args:
        constraint: what the open line asks for.
        exemplars: shown in this order, so the nearest one belongs at the end.
        ontology: gives the names' words and their order.
        attributes_in_text: name the labels in every line.
        asked: what the open line says in place of the constraint's labels.
        glossary: lines that explain labels, before everything else.

    Returns:
        text that ends with ``:`` (with ``)`` or ``]`` where labels are not named); the
        continuation is :func:`render_target` of an utterance.

    Raises:
        TaskDataError: an attribute or a slot is not in the ontology.
    """

    def line(number: int, words: str, values: Mapping[str, tuple[str, ...]]) -> str:
        parts = [f"{number})", words if attributes_in_text else "", _bracket(values, ontology)]
        return " ".join(part for part in parts if part)

    lines = [*glossary, f"Utterances in the {_domain_words(constraint.domain)} domain:"]
    for number, exemplar in enumerate(exemplars, start=1):
        opening = line(number, attribute_words(exemplar.attributes, ontology), exemplar.values)
        colon = ":" if attributes_in_text else ""
        lines.append(f"{opening}{colon}{render_target(exemplar.text)}".rstrip("\n"))
    words = attribute_words(constraint.attributes, ontology) if asked is None else asked
    last = line(len(exemplars) + 1, words, constraint.values)
    return "\n".join([*lines, f"{last}:" if attributes_in_text else last])


def tuned_context(
    prompts: PromptsConfig,
    constraint: Constraint,
    exemplars: Sequence[Example],
    ontology: Ontology,
) -> str:
    """Return the text that follows soft prompts, in tuning and in writing alike.

    It is empty where these come from an example alone.
    """
    if not prompts.has_attributes:
        return ""
    return render_context(
        constraint, exemplars, ontology, attributes_in_text=prompts.attributes_in_text
    )


def render_target(text: str) -> str:
    """Return what the LM writes after a context: a space, the utterance on one line, its end."""
    return f" {_one_line(text)}\n"


def instruction_text(num: int) -> str:
    """Return the request for ``num`` utterances that the instruction prompt is initialised from."""
    return (
        f"Write {num} distinct utterances in the same domain. Each one expresses all of the "
        "given attributes and mentions every given value."
    )


def present_names(constraint: Constraint, ontology: Ontology) -> tuple[str, ...]:
    """Return the labels and slots that a constraint carries, in the ontology's order.

    Raises:
        TaskDataError: one of them is not in the ontology.
    """
    names = [*constraint.attributes, *(slot for slot, texts in constraint.values.items() if texts)]
    return ontology.order(names)


def constraint_of(example: Example) -> Constraint:
    """Return the constraint that an example itself fulfils."""
    return Constraint(example.attributes, example.values, example.domain, example.target)


def attribute_words(names: Sequence[str], ontology: Ontology) -> str:
    """Return labels as a line names them: in words, in the ontology's order."""
    places = [ontology.index(name) for name in ontology.order(names)]
    return "; ".join(ontology.all[place].words for place in places)


def _bracket(values: Mapping[str, tuple[str, ...]], ontology: Ontology) -> str:
    slots = ontology.order(slot for slot, texts in values.items() if texts)
    texts = [_one_line(text) for slot in slots for text in values[slot]]
    return f"[{'; '.join(texts)}]" if texts else ""


def _domain_words(domain: str) -> str:
    return " ".join(domain.replace("_", " ").replace("-", " ").split())


def _one_line(text: str) -> str:
    return " ".join(text.split())
