"""The request for more questions like one: an instruction, and a JSON list that is begun.

An engine writes one line, so a list of objects in one line is how a reply holds
several questions. The list's second object is opened here as far as it is decided:
where options are fixed, the right one stands before the question, which is then
written for it (LLM Data Creation, arXiv 2310.20111, section 3.2).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from msp.records import Example, Unit
from msp.tasks.base import QuestionForm
from msp.tasks.questions import ChoiceQuestion


def render_request(unit: Unit, exemplars: Sequence[Example], *, form: QuestionForm) -> str:
    """Return the context that asks for questions formatted like the exemplar.

    ::

        A JSON list of 5 or more different questions. Each has 2 options, always True, False. ...
        [{"options": ["True", "False"], "label": "False", "question": "Is ..."}, {"options": ...

    Args:
        unit: its constraint has the right answer where options are fixed.
        exemplars: the formatting example, or none where it does not fit the LM.
        form: what questions of the task are like.
    """
    shown = [f"{_formatted(example, form)}, " for example in exemplars]
    return f"{_instruction(form)}\n[{''.join(shown)}{opening(unit.constraint.attributes, form)}"


def opening(asked: Sequence[str], form: QuestionForm) -> str:
    """Return how the first object of a reply begins, which a request has written already.

    Args:
        asked: the request's labels; of fixed options, the one right answer.
        form: what questions of the task are like.
    """
    begun = _begun(asked[0], form) if form.options else "{"
    return f'{begun}"{"context" if form.has_context else "question"}": "'


def _begun(label: str, form: QuestionForm) -> str:
    options = json.dumps(list(form.options), ensure_ascii=False)
    return f'{{"options": {options}, "label": {json.dumps(label, ensure_ascii=False)}, '


def _formatted(example: Example, form: QuestionForm) -> str:
    found = ChoiceQuestion.of(example.text, example.target or "")
    asked: dict[str, object] = {"context": found.context} if form.has_context else {}
    asked["question"] = found.question
    answer: dict[str, object] = {"options": list(found.options), "label": found.label}
    ordered = answer | asked if form.options else asked | answer
    return json.dumps(ordered, ensure_ascii=False)


def _instruction(form: QuestionForm) -> str:
    kind = (
        "different questions, each about a context of its own"
        if form.has_context
        else ("different questions")
    )
    if form.options:
        return (
            f"A JSON list of {kind}. The options of every question are "
            f"{' and '.join(form.options)}; the label says which one is right, and the question "
            "is written for it."
        )
    return (
        f"A JSON list of {kind}. Every question has {form.num_options} options of its own, and "
        "the label repeats the one that is right."
    )
