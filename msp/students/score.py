"""A student's figures: of one training, and of an arm's several trainings together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from msp.students.examples import Floats, LabelledTexts
from msp.tasks.metrics import best_threshold, multilabel_scores

# Where the task has no dev examples to choose by.
NO_DEV_THRESHOLD = 0.5


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
    threshold = best_threshold(probabilities, split.gold) if split.texts else NO_DEV_THRESHOLD
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
