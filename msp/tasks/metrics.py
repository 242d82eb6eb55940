"""Figures of tasks with labels, as scikit-learn defines them, and the choice of a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from msp.errors import TaskDataError

Bools = npt.NDArray[np.bool_]

THRESHOLDS = np.arange(1, 100) / 100

# What a kind of task is judged by, the first figure above all.
HEADLINE: dict[str, tuple[str, ...]] = {
    "multilabel": ("micro_f1", "macro_f1", "exact_match"),
    "single_label": ("accuracy", "macro_f1"),
    "tagging": ("entity_f1", "entity_macro_f1"),
    "parse": ("exact_match", "intent_accuracy", "slot_f1"),
    "number": ("final_answer_match",),
    "program": ("pass_at_1",),
    "choice": ("accuracy",),
}


def multilabel_scores(gold: Bools, predicted: Bools) -> dict[str, float]:
    """Return the figures in percent; micro F1 is the one that NLU++ reports.

    Macro F1 is the mean over the attributes that some gold example carries: an
    attribute that the split never asks for has no recall to speak of. A ratio
    of nothing to nothing is 0.

    Args:
        gold: [N, A], true where example n carries attribute a.
        predicted: [N, A], true where the student says so.

    Returns:
        ``micro_f1``, ``macro_f1``, ``exact_match`` (rows predicted without a
        fault), ``micro_precision`` and ``micro_recall``, each 0 to 100.

    Raises:
        TaskDataError: there is no example.
    """
    _check_shapes(gold, predicted)
    hits = np.count_nonzero(gold & predicted, axis=0)
    num_predicted = np.count_nonzero(predicted, axis=0)
    num_gold = np.count_nonzero(gold, axis=0)
    supported = num_gold > 0
    per_attribute = 2 * hits[supported] / (num_predicted + num_gold)[supported]
    return {
        "micro_f1": percent(2 * hits.sum(), num_predicted.sum() + num_gold.sum()),
        "macro_f1": float(100 * per_attribute.mean()) if supported.any() else 0.0,
        "exact_match": percent(np.count_nonzero((gold == predicted).all(axis=1)), len(gold)),
        "micro_precision": percent(hits.sum(), num_predicted.sum()),
        "micro_recall": percent(hits.sum(), num_gold.sum()),
    }


def single_label_scores(gold: Bools, predicted: Bools) -> dict[str, float]:
    """Return ``accuracy`` and ``macro_f1`` of a task with one label an example, in percent.

    Args:
        gold: [N, A], one true in each row.
        predicted: [N, A], likewise.

    Raises:
        TaskDataError: there is no example.
    """
    scores = multilabel_scores(gold, predicted)
    return {"accuracy": scores["exact_match"], "macro_f1": scores["macro_f1"]}


def best_threshold(scores: npt.NDArray[np.floating[Any]], gold: Bools) -> float:
    """Return the threshold t with the best micro F1 of ``scores >= t``: choose it on dev.

    Tried are 0.01 to 0.99 in hundredths. Of thresholds that tie, the (lower)
    middle one is taken, which is the farthest from either cliff and, where
    nothing tells them apart, 0.5.

    Args:
        scores: [N, A] in [0, 1], not NaN.
        gold: [N, A], true where example n carries attribute a.
    """
    _check_shapes(scores, gold)
    if np.isnan(scores).any():
        raise TaskDataError("the scores hold NaN; the student's training diverged.")
    # In the scores' own precision, as ``scores >= t`` compares.
    thresholds = THRESHOLDS.astype(scores.dtype)
    positives = np.sort(scores[gold])
    everything = np.sort(scores, axis=None)
    hits = positives.size - np.searchsorted(positives, thresholds)
    num_predicted = everything.size - np.searchsorted(everything, thresholds)
    f1 = 2 * hits / np.maximum(num_predicted + positives.size, 1)
    (best,) = np.nonzero(f1 == f1.max())
    return float(THRESHOLDS[best[(len(best) - 1) // 2]])


def _check_shapes(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
    assert first.ndim == 2 and first.shape == second.shape, (first.shape, second.shape)
    if not len(first):
        raise TaskDataError("there is no example to score; give the split some.")


def percent(part: Any, whole: Any) -> float:
    """Return a share in percent; 0 of nothing."""
    return float(100 * part / whole) if whole else 0.0
