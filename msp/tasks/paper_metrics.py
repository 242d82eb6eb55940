"""The lenient figures of MSP's released code, to compare with the paper's tables; never a headline.

They differ from the standard ones: precision and recall are averaged over
examples, an entity counts when its words are among the other's and only its first
words are looked at, and a parse of which half is right counts half.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from msp.errors import TaskDataError
from msp.tasks.brackets import Forest, Node, Span, labels_in, spans_in, words_in

# The release keeps this many words of an entity together with its type.
MAX_ENTITY_WORDS = 7

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MARKS = re.compile(r"[^\w\s,\[\]]|_")

Bools = npt.NDArray[np.bool_]


def paper_label_scores(gold: Bools, predicted: Bools) -> dict[str, float]:
    """Return ``paper_f1``, ``paper_precision`` and ``paper_recall`` of labels, in percent.

    Both ratios are means over the examples, 0 for one without any label, and F1 is theirs.

    Args:
        gold: [N, A], true where example n carries label a.
        predicted: [N, A], likewise.

    Raises:
        TaskDataError: there is no example.
    """
    hits = np.count_nonzero(gold & predicted, axis=1)
    return _averaged(
        hits / np.maximum(np.count_nonzero(predicted, axis=1), 1),
        hits / np.maximum(np.count_nonzero(gold, axis=1), 1),
    )


def paper_entity_scores(gold: Sequence[Forest], predicted: Sequence[Forest]) -> dict[str, float]:
    """Return ``paper_f1``, ``paper_precision`` and ``paper_recall`` of entities, in percent.

    A predicted entity is precise when a gold one of its type has no word that it lacks,
    and a gold one is found when a predicted one has no word that it lacks, wherever in the
    text they stand. Longer than six words, it matches nothing, since its type is cut off.
    """
    answers = [
        (_entities(one), _entities(other)) for one, other in zip(gold, predicted, strict=True)
    ]
    return _averaged(
        np.array([_covered(said, real) for real, said in answers]),
        np.array([_covered(real, said) for real, said in answers]),
    )


def paper_parse_scores(gold: Sequence[Forest], predicted: Sequence[Forest]) -> dict[str, float]:
    """Return ``paper_exact_match``, ``paper_intent_accuracy`` and ``paper_slot_accuracy``.

    In percent, each a mean over the examples. Intents: shared ones, per those of the
    longer list. Slots: names with a value in common, likewise; the value of a slot
    that holds an intent is the intent. Exact match: half a point for all
    intents and half a point for all slots.
    """
    if not gold:
        raise TaskDataError("there is no example to score; give the split some.")
    rows = [_parse_points(one, other) for one, other in zip(gold, predicted, strict=True)]
    exact, intents, slots = (100 * float(np.mean(column)) for column in zip(*rows, strict=True))
    return {
        "paper_exact_match": exact,
        "paper_intent_accuracy": intents,
        "paper_slot_accuracy": slots,
    }


def _averaged(precisions: npt.NDArray[Any], recalls: npt.NDArray[Any]) -> dict[str, float]:
    if not len(precisions):
        raise TaskDataError("there is no example to score; give the split some.")
    precision, recall = float(precisions.mean()), float(recalls.mean())
    both = precision + recall
    return {
        "paper_f1": 100 * 2 * precision * recall / both if both else 0.0,
        "paper_precision": 100 * precision,
        "paper_recall": 100 * recall,
    }


def _entities(forest: Forest) -> list[tuple[str, frozenset[str]]]:
    words = words_in(forest)
    return [(span.label, _kept_words(words, span)) for span in spans_in(forest)]


def _kept_words(words: Sequence[str], span: Span) -> frozenset[str]:
    """Return an entity's words as the release compares them; none where its type is cut off."""
    lowered = _MARKS.sub(" ", " ".join(words[span.start : span.end]).lower())
    kept = _ARTICLES.sub(" ", lowered).split()
    return frozenset(kept) if len(kept) < MAX_ENTITY_WORDS else frozenset()


def _covered(
    counted: Sequence[tuple[str, frozenset[str]]], others: Sequence[tuple[str, frozenset[str]]]
) -> float:
    """Return the share of entities of which an unused other of the type has no further word."""
    left = list(others)
    hits = 0
    for label, words in counted:
        match = next((o for o in left if o[0] == label and words and o[1] and o[1] <= words), None)
        if match is not None:
            left.remove(match)
            hits += 1
    return hits / len(counted) if counted else 0.0


def _parse_points(gold: Forest, predicted: Forest) -> tuple[float, float, float]:
    real, said = ([n for n in labels_in(f) if n.startswith("IN:")] for f in (gold, predicted))
    intents = sum(name in real for name in said) / max(len(real), len(said), 1)
    real_slots, said_slots = _slots(gold), _slots(predicted)
    num = max(sum(map(len, real_slots.values())), sum(map(len, said_slots.values())))
    shared = sum(bool(real_slots[name] & said_slots.get(name, set())) for name in real_slots)
    slots = shared / num if num else 1.0
    return ((intents == 1.0) + (slots == 1.0)) / 2, min(intents, 1.0), slots


def _slots(forest: Forest) -> dict[str, set[str]]:
    """Return slot -> its values at any depth, lower case."""
    found: dict[str, set[str]] = {}
    for part in forest:
        if not isinstance(part, Node):
            continue
        if part.label.startswith("SL:"):
            inner = next((c for c in part.children if isinstance(c, Node)), None)
            value = inner.label if inner else " ".join(words_in(part.children))
            found.setdefault(part.label, set()).add(value.lower())
        for name, values in _slots(part.children).items():
            found.setdefault(name, set()).update(values)
    return found
