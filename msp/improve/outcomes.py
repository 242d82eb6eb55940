"""What a student got right and wrong of each example, by label: hits, wrong ones, missed ones.

Counts by example and training, so that any two rounds can be compared example by
example, and one scale, F1, for labels, slots and parses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from msp.improve.crossfit import Fold
from msp.students.examples import LabelledTexts
from msp.students.score import choose_threshold
from msp.tasks.base import TaskData
from msp.tasks.brackets import Forest, read_brackets, spans_in

# label -> hits, labels said that are wrong, labels missed.
Outcome = Mapping[str, tuple[int, int, int]]


def outcomes(
    task: TaskData,
    held: Sequence[LabelledTexts],
    answers: Sequence[Any],
    labels: Sequence[str],
) -> list[list[Outcome]]:
    """Return each fold's outcomes, one for each of its examples.

    Where several labels may be right, what counts as said is decided by a
    threshold that was chosen on the other folds (on the only one, if there is one).

    Args:
        task: its kind and tags.
        held: the folds' examples.
        answers: what a student says of each fold, as a learner answers.
        labels: A of them, the columns of gold and answers.
    """
    if task.kind in ("tagging", "parse"):
        scored = set(task.tags) if task.kind == "tagging" else None
        return [_of_spans(split, said, scored) for split, said in zip(held, answers, strict=True)]
    found = []
    for number, (split, said) in enumerate(zip(held, answers, strict=True)):
        if task.kind == "single_label":
            predicted = said == said.max(axis=1, keepdims=True)
        else:
            others = [n for n in range(len(held)) if n != number] or [number]
            threshold = choose_threshold(
                np.concatenate([answers[n] for n in others]),
                np.concatenate([held[n].gold for n in others]),
            )
            predicted = said >= said.dtype.type(threshold)
        found.append(_of_labels(split.gold, predicted, labels))
    return found


def learnable(fold: Fold, found: Sequence[Outcome]) -> list[Outcome]:
    """Return a fold's outcomes without the labels that its students cannot have learned.

    A miss of such a label says nothing of what was generated.
    """
    known = fold.known
    return [{name: of for name, of in one.items() if name in known} for one in found]


def _of_labels(gold: Any, predicted: Any, labels: Sequence[str]) -> list[Outcome]:
    return [
        {
            labels[a]: (int(real[a] & said[a]), int(said[a] & ~real[a]), int(real[a] & ~said[a]))
            for a in np.flatnonzero(real | said).tolist()
        }
        for real, said in zip(gold, predicted, strict=True)
    ]


def _of_spans(
    split: LabelledTexts, predicted: Sequence[Forest], scored: set[str] | None
) -> list[Outcome]:
    return [
        _of_one(read_brackets(target), forest, scored)
        for target, forest in zip(split.targets, predicted, strict=True)
    ]


def _of_one(gold: Forest, predicted: Forest, scored: set[str] | None) -> Outcome:
    real, said = (
        Counter(span for span in spans_in(forest) if scored is None or span.label in scored)
        for forest in (gold, predicted)
    )
    hits = real & said
    parts = [Counter(span.label for span in c.elements()) for c in (hits, said - hits, real - hits)]
    names = sorted({name for part in parts for name in part})
    return {name: (parts[0][name], parts[1][name], parts[2][name]) for name in names}
