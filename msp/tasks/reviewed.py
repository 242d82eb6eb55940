"""Reviewers' gold in a task: what they accepted or corrected joins the seed examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from msp.records import Example
from msp.tasks.answers import split_answer
from msp.tasks.base import KINDS_WITH_TARGET, WRITTEN, TaskData, content_hash
from msp.tasks.sampling import text_key
from msp.tasks.splits import gaps, without_texts_of


def with_reviewed(
    task: TaskData, gold: Sequence[Example], rejected: Sequence[str], *, domain: str | None = None
) -> TaskData:
    """Return the task with reviewers' examples after its seed examples, and the texts to drop.

    An example is left out, and a note says so, where it would leak (its text is a
    dev or test example's), where a seed example has its text (the seed stands), or
    where the task cannot learn from it: another domain, a label that the ontology does
    not have, no target where labels stand over words, no or several labels where one is asked for.

    Args:
        task: the task as its data names it.
        gold: in an order that does not change between starts.
        rejected: texts as they were rejected.
        domain: of the config's ``task.domain``: only this one, if any.
    """
    fitting = [example for example in gold if _fits(example, task, domain)]
    held = (*task.dev, *task.test)
    clean, leak_note = without_texts_of(fitting, held, "reviewed examples", "dev or test")
    new, seed_note = without_texts_of(clean, task.seeds, "reviewed examples", "seed")
    new = _first_of_each_text(new)
    if task.kind in WRITTEN or task.kind not in KINDS_WITH_TARGET:
        new = tuple(replace(example, target=_answer(example, task)) for example in new)
    seeds = (*task.seeds, *new)
    stale = gaps(task.ontology, task.seeds, task.dev)
    num_unfit = len(gold) - len(fitting)
    unfit_note = f"left out {num_unfit} reviewed examples that this task cannot learn from."
    notes = (
        *(note for note in task.notes if note not in stale),
        f"{len(new)} reviewed examples are seed examples, too; {len(rejected)} rejected texts "
        "are not kept again.",
        leak_note,
        seed_note,
        unfit_note if num_unfit else "",
        *gaps(task.ontology, seeds, task.dev),
    )
    return replace(
        task,
        seeds=seeds,
        notes=tuple(note for note in notes if note),
        rejected=tuple(rejected),
        reviewed_hash=_hash(task, new, rejected),
    )


def _fits(example: Example, task: TaskData, domain: str | None) -> bool:
    names = (*example.attributes, *example.values)
    if any(name not in task.ontology.positions for name in names):
        return False
    if domain is not None and example.domain != task.domain:
        return False
    if task.kind in WRITTEN:
        return _answer(example, task) is not None
    if task.kind in KINDS_WITH_TARGET:
        return example.target is not None
    return task.kind != "single_label" or len(example.attributes) == 1


def _answer(example: Example, task: TaskData) -> str | None:
    """Return what a text says, as people left it, is its answer; None where nothing is written."""
    found = split_answer(example.text) if task.kind in WRITTEN else None
    return found[1] if found else None


def _first_of_each_text(examples: Sequence[Example]) -> tuple[Example, ...]:
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(text_key(example.text), example)
    return tuple(first.values())


def _hash(task: TaskData, gold: Sequence[Example], rejected: Sequence[str]) -> str:
    digest = hashlib.sha256(content_hash(task.ontology, gold).encode())
    digest.update(json.dumps(sorted(rejected)).encode())
    return digest.hexdigest()
