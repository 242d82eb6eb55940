"""A student's figures: of one training, and of an arm's several trainings together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from msp.errors import TaskDataError
from msp.students.examples import Bools, Floats, LabelledTexts
from msp.tasks.metrics import THRESHOLDS, multilabel_scores

# Where the task has no dev examples to choose by.
NO_DEV_THRESHOLD = 0.5
_NUM_RESAMPLES = 200


def score_training(
    dev: tuple[Floats, LabelledTexts], test: tuple[Floats, LabelledTexts], labels: Sequence[str]
) -> dict[str, Any]:
    """Return one training's figures, its threshold chosen on dev and never on test.

    Args:
        dev: probabilities [N, A] and the split they are of; it may hold nothing.
        test: likewise, with at least one example.
        labels: A of them.

    Returns:
        ``threshold``, ``metrics`` (name -> percent) and ``per_attribute`` (label -> F1 in
        percent, for the labels that some test example carries).

    Raises:
        TaskDataError: test holds no example, or the training diverged to NaN.
    """
    probabilities, split = dev
    threshold = choose_threshold(probabilities, split.gold) if split.texts else NO_DEV_THRESHOLD
    probabilities, split = test
    predicted = probabilities >= probabilities.dtype.type(threshold)
    columns: list[int] = np.flatnonzero(split.gold.any(axis=0)).tolist()
    return {
        "threshold": threshold,
        "metrics": multilabel_scores(split.gold, predicted),
        "per_attribute": {
            labels[a]: multilabel_scores(split.gold[:, [a]], predicted[:, [a]])["micro_f1"]
            for a in columns
        },
    }


def choose_threshold(probabilities: Floats, gold: Bools) -> float:
    """Return the middle of the thresholds whose micro F1 is within one standard error of the best.

    Where a few dozen examples are all there is, dev is a handful, and its very best
    threshold is luck: on six folds of NLU++ hotels (37 seed, 9 dev examples) it cost 3.2
    points of test micro F1 against the best possible and spread by 1.8 between trainings;
    this rule costs 0.9 and spreads by 0.5. With many dev examples the error, and so
    the difference, goes to zero (the one-standard-error rule of Breiman et al., 1984).

    Args:
        probabilities: [N, A] of dev, N > 0.
        gold: [N, A].

    Raises:
        TaskDataError: a probability is NaN, since the training diverged.
    """
    if np.isnan(probabilities).any():
        raise TaskDataError(
            "the student's probabilities are NaN: its training diverged; "
            "lower student.learning_rate or student.encoder_learning_rate."
        )
    thresholds = THRESHOLDS.astype(probabilities.dtype)
    said = [probabilities >= threshold for threshold in thresholds]
    hits = np.stack([(rows & gold).sum(axis=1) for rows in said], axis=1)
    sizes = np.stack([rows.sum(axis=1) + gold.sum(axis=1) for rows in said], axis=1)
    counts = np.random.default_rng(0).multinomial(
        len(gold), np.full(len(gold), 1 / len(gold)), size=_NUM_RESAMPLES
    )
    f1 = 2 * hits.sum(axis=0) / np.maximum(sizes.sum(axis=0), 1)
    resampled = 2 * (counts @ hits) / np.maximum(counts @ sizes, 1)
    good = np.flatnonzero(f1 >= f1.max() - resampled[:, f1.argmax()].std())
    return float(THRESHOLDS[(good[0] + good[-1]) // 2])


def summarise(trainings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an arm's figures over its trainings.

    Args:
        trainings: one or more, from :func:`score_training`, in the order of their seeds.

    Returns:
        every metric -> {``mean``, ``std`` (of the population; 0 for one training),
        ``per_seed``}; ``per_attribute`` -> mean F1; ``thresholds``, one a training.
    """
    names = trainings[0]["metrics"]
    per_seed = {name: [t["metrics"][name] for t in trainings] for name in names}
    figures = {
        name: {"mean": float(np.mean(v)), "std": float(np.std(v)), "per_seed": v}
        for name, v in per_seed.items()
    }
    per_attribute = {
        label: float(np.mean([t["per_attribute"][label] for t in trainings]))
        for label in trainings[0]["per_attribute"]
    }
    thresholds = [t["threshold"] for t in trainings]
    return {**figures, "per_attribute": per_attribute, "thresholds": thresholds}
