"""What an accepted or corrected candidate stands for, checked as a row of anybody's file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msp.errors import TaskDataError
from msp.records import Constraint, Example
from msp.tasks.answers import ANSWER, split_answer
from msp.tasks.base import WRITTEN, TaskData
from msp.tasks.placing import target_of
from msp.tasks.reading import checked_text, shown


@dataclass(frozen=True, slots=True)
class Reviewable:
    """A candidate with what a person has to know to judge it, and where it is in the store.

    Args:
        candidate_id: unique in the run.
        round: its shard's round
        shard: and number.
        seed_uid: the seed example that its constraint came from.
        domain: of the constraint.
        attributes: labels that were asked for.
        values: slot -> strings that were asked for.
        text: the candidate.
        target: where labels stand in it; the labels alone in tasks without words.
        reason: why it was dropped; None where it was kept.
        noise_score: NaN where nothing measured it.
    """

    candidate_id: int
    round: int
    shard: int
    seed_uid: str
    domain: str
    attributes: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    text: str
    target: str
    reason: str | None
    noise_score: float


def accepted_example(candidate: Reviewable, task: TaskData) -> Example:
    """Return what a person agreed to: the text with what was asked of it.

    An asked string that does not stand in the text is not among its values.

    Raises:
        TaskDataError: the text is no text, or the ontology does not know a label.
    """
    where = f"candidate {candidate.candidate_id}"
    text = checked_text(candidate.text, f"{where}: text")
    values = {slot: _found_in(text, texts) for slot, texts in candidate.values.items()}
    has_words = task.kind in ("tagging", "parse")
    return Example(
        uid=str(candidate.candidate_id),
        text=text,
        attributes=task.ontology.order(candidate.attributes),
        values={slot: values[slot] for slot in task.ontology.order(values) if values[slot]},
        domain=candidate.domain,
        target=candidate.target if has_words else None,
    )


def corrected_example(
    candidate: Reviewable, task: TaskData, *, text: Any, attributes: Any, values: Any
) -> Example:
    """Return what a person made of a candidate.

    Args:
        candidate: what was shown.
        task: its ontology and what its student answers.
        text: the corrected text.
        attributes: list of label names.
        values: slot -> list of strings of the text.

    Raises:
        TaskDataError: it cannot be an example of the task; the message says what to mend.
    """
    text = checked_text(text, "the text")
    labels = _labels(attributes, task)
    found = _values(values, text, task)
    if task.kind == "single_label" and len(labels) != 1:
        raise TaskDataError(f"{len(labels)} labels are chosen; this task gives a text exactly one.")
    if task.kind in WRITTEN:
        if split_answer(text) is None:
            raise TaskDataError(
                f"the text has no{ANSWER}with words on both sides; write a question and its answer."
            )
    elif not labels and not found and not task.tags:
        raise TaskDataError("no label is chosen; choose one or more, or reject the candidate.")
    example = Example(str(candidate.candidate_id), text, labels, found, candidate.domain)
    if task.kind not in ("tagging", "parse"):
        return example
    if task.kind == "parse" and (labels, found) != _as_asked(candidate, task):
        raise TaskDataError("in a parse the text alone can be corrected, not its labels.")
    asked = Constraint(labels, found, candidate.domain, candidate.target)
    target = target_of(asked, text, kind=task.kind, labels=task.tags)
    if target is None:
        raise TaskDataError(
            "the values cannot be found in the text as whole words, each in a place of its own; "
            "copy them from the text."
        )
    return Example(example.uid, text, labels, found, candidate.domain, target)


def _as_asked(
    candidate: Reviewable, task: TaskData
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    values = {slot: candidate.values[slot] for slot in task.ontology.order(candidate.values)}
    return task.ontology.order(candidate.attributes), values


def _found_in(text: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    folded = text.casefold()
    return tuple(value for value in texts if value.casefold() in folded)


def _labels(found: Any, task: TaskData) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise TaskDataError(f"the labels are {shown(found)}; choose them from the list.")
    slots = {slot.name for slot in task.ontology.slots}
    for name in found:
        if name in slots:
            raise TaskDataError(f"{shown(name)} is a slot; give it a string of the text.")
    return task.ontology.order(found)


def _values(found: Any, text: str, task: TaskData) -> dict[str, tuple[str, ...]]:
    if not isinstance(found, dict) or not all(isinstance(v, list) for v in found.values()):
        raise TaskDataError(f"the values are {shown(found)}; give each slot a list of strings.")
    for slot, texts in found.items():
        for value in texts:
            checked_text(value, f"a value of {shown(slot)}")
            if value.casefold() not in text.casefold():
                raise TaskDataError(
                    f"value {shown(value)} of {shown(slot)} does not occur in the text; copy it "
                    "from there."
                )
    return {slot: tuple(found[slot]) for slot in task.ontology.order(found) if found[slot]}
