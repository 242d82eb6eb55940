"""What every reader hands on: the ontology and the three splits, with a hash of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from msp.records import Example
from msp.tasks.linearise import linearise, parse_target
from msp.tasks.ontology import Ontology

__all__ = ["TaskData", "content_hash", "linearise", "parse_target"]


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
    """

    ontology: Ontology
    domain: str
    seeds: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    content_hash: str
    notes: tuple[str, ...] = ()


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
            digest.update(json.dumps([number, *labelled, example.domain]).encode())
    return digest.hexdigest()
