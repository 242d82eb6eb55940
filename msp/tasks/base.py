"""What every reader hands on: the ontology and the three splits, with a hash of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msp.records import Example
from msp.tasks.linearise import linearise, parse_target
from msp.tasks.ontology import Ontology

__all__ = [
    "KINDS_WITH_TARGET",
    "WRITTEN",
    "Kind",
    "QuestionForm",
    "TaskData",
    "content_hash",
    "linearise",
    "parse_target",
]

# What a student answers: any number of labels, one label, labelled spans, or a tree of them;
# which of a question's options is right; or it writes the answer out, which ends with a number
# or is a program.
Kind = Literal["multilabel", "single_label", "tagging", "parse", "choice", "number", "program"]
WRITTEN: tuple[Kind, ...] = ("number", "program")
# Of these an example's target says what its labels alone do not.
KINDS_WITH_TARGET: tuple[Kind, ...] = ("tagging", "parse", "choice", *WRITTEN)


@dataclass(frozen=True)
class QuestionForm:
    """What all questions of a task with options are like.

    Args:
        num_options: of each question.
        options: where they are the same for all, in their order; else each question has its own.
        has_context: whether each has a context that it is asked about.
    """

    num_options: int
    options: tuple[str, ...] = ()
    has_context: bool = False


@dataclass(frozen=True)
class TaskData:
    """A task, read and split.

    Args:
        ontology: what the examples can carry.
        domain: the domain that the task is about; ``general`` where it has several.
        seeds: the seed examples; no text of theirs stands in ``dev`` or ``test``.
        dev: for choices such as a threshold; never drawn from ``test``.
        test: for the reported figures alone.
        content_hash: SHA-256 (hex) over ontology and examples; the same in every process.
        notes: what a user should know of the data, one sentence each.
        kind: what the student answers.
        tags: of tagging: the labels that stand over words, slots or entity types.
        source: labelled examples of other domains; prompts and students learn from them, too,
            but nothing is generated for them.
        rejected: texts that reviewers of earlier runs rejected; none is kept again.
        reviewed_hash: SHA-256 (hex) over what reviewers decided, where it counts; else empty.
        questions: of kind choice: what its questions are like; None elsewhere.
        also_test: further test examples that students are scored on, by the name of their set.
        kept_before: texts that the runs before this one kept (``parent``); none is kept again.
    """

    ontology: Ontology
    domain: str
    seeds: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    content_hash: str
    notes: tuple[str, ...] = ()
    kind: Kind = "multilabel"
    tags: tuple[str, ...] = ()
    source: tuple[Example, ...] = ()
    rejected: tuple[str, ...] = ()
    reviewed_hash: str = ""
    questions: QuestionForm | None = None
    also_test: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    kept_before: tuple[str, ...] = ()

    @property
    def labelled(self) -> tuple[Example, ...]:
        """Every labelled example that is learned from: the seeds, then those of other domains."""
        return (*self.seeds, *self.source)


def content_hash(ontology: Ontology, *splits: Sequence[Example]) -> str:
    """Return the SHA-256 (hex) of the ontology and of the splits in their order."""
    digest = hashlib.sha256()
    attributes = [
        [a.name, a.description, a.is_slot, list(ontology.membership.get(a.name, ()))]
        for a in ontology.all
    ]
    digest.update(json.dumps([attributes, list(ontology.domains.items())]).encode())
    for number, split in enumerate(splits):
        for example in split:
            values = [[slot, list(texts)] for slot, texts in example.values.items()]
            labelled = [example.uid, example.text, list(example.attributes), values]
            bracketed = [] if example.target is None else [example.target]
            digest.update(json.dumps([number, *labelled, example.domain, *bracketed]).encode())
    return digest.hexdigest()
