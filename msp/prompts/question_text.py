"""The request for more questions like one: a JSON list that is begun, or numbered lines.

An engine writes one line, so a list of objects in one line is how a reply holds
several questions. The list's second object is opened here as far as it is decided:
where options are fixed, the right one stands before the question, which is then
written for it (LLM Data Creation, arXiv 2310.20111, section 3.2). An LM that has
never seen JSON may write one question a reply instead, as a line of fields; and so do
methods that know texts alone, for which a question is its line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from msp.prompts.text import render_context
from msp.records import Example, Unit
from msp.tasks.base import QuestionForm, TaskData
from msp.tasks.ontology import Ontology
from msp.tasks.questions import ChoiceQuestion

# Between the fields of a line.
BETWEEN = "|"


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


def render_lines(
    unit: Unit, exemplars: Sequence[Example], *, form: QuestionForm, ontology: Ontology
) -> str:
    """Return the same request in the lines of :func:`msp.prompts.text.render_context`.

    ::

        Every line is a question, its 3 options and the right one, with | between them.
        Utterances in the csqa domain:
        1) question: Where do you find a bank? | town | river | sky | town
        2) question:

    Args:
        unit: its constraint has the right answer where options are fixed.
        exemplars: as for :func:`render_request`.
        form: what questions of the task are like.
        ontology: the task's.
    """
    shown = _spelled(exemplars, form)
    return render_context(
        unit.constraint,
        shown,
        ontology,
        attributes_in_text=True,
        glossary=[f"Every line is {_fields_in_words(form)}, with {BETWEEN} between them."]
        if num_fields(form) > 1
        else (),
    )


def with_lines(task: TaskData) -> TaskData:
    """Return the task whose examples' texts are what an LM writes: of questions, their lines.

    So soft prompts are tuned on whole questions, and whoever shows one shows all of it; tasks
    without questions are as they were.
    """
    form = task.questions
    if form is None:
        return task
    return replace(task, seeds=_spelled(task.seeds, form), dev=_spelled(task.dev, form))


def _spelled(examples: Sequence[Example], form: QuestionForm) -> tuple[Example, ...]:
    return tuple(replace(example, text=_line(example, form)) for example in examples)


def num_fields(form: QuestionForm) -> int:
    """Return how many fields a line has: context, question, and options with the right one."""
    return form.has_context + 1 + (0 if form.options else form.num_options + 1)


def _line(example: Example, form: QuestionForm) -> str:
    found = ChoiceQuestion.of(example.text, example.target or "")
    fields = [found.context or ""] if form.has_context else []
    fields += [found.question, *(() if form.options else (*found.options, found.label))]
    return f" {BETWEEN} ".join(field.replace(BETWEEN, "/") for field in fields)


def _fields_in_words(form: QuestionForm) -> str:
    context = "a context and a question about it" if form.has_context else "a question"
    return (
        context if form.options else f"{context}, its {form.num_options} options and the right one"
    )


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
