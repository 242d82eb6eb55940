"""What every reader hands on: the ontology and the three splits, with a hash of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msp.records import Example
from msp.tasks.linearise import linearise, parse_target
from msp.tasks.ontology import Ontology

__all__ = ["Kind", "TaskData", "content_hash", "linearise", "parse_target"]

# What a student answers: any number of labels, one label, labelled spans, or a tree of them.
Kind = Literal["multilabel", "single_label", "tagging", "parse"]


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
