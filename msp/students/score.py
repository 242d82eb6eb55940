"""A student's figures: of one training, and of an arm's several trainings together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from msp.errors import TaskDataError
from msp.students.examples import Bools, Floats, LabelledTexts
from msp.tasks.brackets import Forest, forest_of, read_brackets, spans_in, words_in
from msp.tasks.metrics import THRESHOLDS, multilabel_scores, percent, single_label_scores
from msp.tasks.paper_metrics import paper_entity_scores, paper_label_scores, paper_parse_scores
from msp.tasks.span_metrics import entity_scores, label_f1, parse_scores

# Where the task has no dev examples to choose by.
NO_DEV_THRESHOLD = 0.5
_NUM_RESAMPLES = 200


def score_training(
    dev: tuple[Floats, LabelledTexts],
    test: tuple[Floats, LabelledTexts],
    labels: Sequence[str],
    *,
    paper: bool = False,
) -> dict[str, Any]:
    """Return one training's figures of several labels, its threshold chosen on dev, not on test.

    Args:
        dev: probabilities [N, A] and the split they are of; it may hold nothing.
        test: likewise, with at least one example.
        labels: A of them.
        paper: whether MSP's own figures are added.

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
    return {
        "threshold": threshold,
        "metrics": multilabel_scores(split.gold, predicted)
        | (paper_label_scores(split.gold, predicted) if paper else {}),
        "per_attribute": _label_f1(split.gold, predicted, labels),
    }


def score_single(
    test: tuple[Floats, LabelledTexts], labels: Sequence[str], *, paper: bool = False
) -> dict[str, Any]:
    """Return one training's figures where the most probable label is the answer.

    See :func:`score_training`; nothing is chosen on dev.
    """
    probabilities, split = test
    if np.isnan(probabilities).any():
        raise _diverged("probabilities")
    predicted = np.zeros(split.gold.shape, dtype=np.bool_)
    # Who finds nothing possible, as an LM whose line names no label, says nothing.
    says = probabilities.max(axis=1, initial=0.0) > 0
    predicted[np.arange(len(predicted)), probabilities.argmax(axis=1)] = says
    return {
        "metrics": single_label_scores(split.gold, predicted)
        | (paper_label_scores(split.gold, predicted) if paper else {}),
        "per_attribute": _label_f1(split.gold, predicted, labels),
    }


def percent_right(right: Sequence[bool]) -> float:
    """Return the share of right answers in percent.

    Raises:
        TaskDataError: there is none to score.
    """
    if not right:
        raise TaskDataError("there is no example to score; give the split some.")
    return percent(sum(right), len(right))


def score_spans(
    test: tuple[Sequence[Forest], LabelledTexts],
    kind: str,
    labels: Sequence[str],
    *,
    paper: bool = False,
) -> dict[str, Any]:
    """Return one training's figures of a task that tags or parses; see :func:`score_training`.

    Args:
        test: each text's forest and the split.
        kind: ``tagging`` or ``parse``.
        labels: what is scored; of tagging, spans with others are left out.
        paper: whether MSP's own figures are added.
    """
    predicted, split = test
    gold = [read_brackets(target) for target in split.targets]
    if kind == "parse":
        metrics = parse_scores(gold, predicted)
        metrics |= paper_parse_scores(gold, predicted) if paper else {}
    else:
        gold, predicted = ([_only(forest, labels) for forest in side] for side in (gold, predicted))
        metrics = entity_scores(gold, predicted)
        metrics |= paper_entity_scores(gold, predicted) if paper else {}
    return {"metrics": metrics, "per_attribute": label_f1(gold, predicted)}


def score_choices(
    said: Sequence[str], right: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """Return one training's figures of questions with options; see :func:`score_training`.

    An option that stands twice is right in both places.

    Args:
        said: the chosen option of each question.
        right: the right one.
        labels: where options are fixed, each has its F1.
    """
    if not right:
        raise TaskDataError("there is no example to score; give the split some.")
    names = [name for name in labels if name in right]
    gold, predicted = (
        np.array([[word == name for name in names] for word in words], dtype=np.bool_)
        for words in (right, said)
    )
    hits = sum(a == b for a, b in zip(said, right, strict=True))
    return {
        "metrics": {"accuracy": percent(hits, len(right))},
        "per_attribute": _label_f1(gold, predicted, names) if names else {},
    }


def _only(forest: Forest, labels: Sequence[str]) -> Forest:
    spans = [span for span in spans_in(forest) if span.label in labels]
    return forest_of(words_in(forest), spans)


def _label_f1(gold: Bools, predicted: Bools, labels: Sequence[str]) -> dict[str, float]:
    columns: list[int] = np.flatnonzero(gold.any(axis=0)).tolist()
    return {
        labels[a]: multilabel_scores(gold[:, [a]], predicted[:, [a]])["micro_f1"] for a in columns
    }


def _diverged(what: str) -> TaskDataError:
    return TaskDataError(
        f"the student's {what} are NaN: its training diverged; "
        "lower student.learning_rate or student.encoder_learning_rate."
    )


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
        raise _diverged("probabilities")
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
        ``per_seed``}; ``per_attribute`` -> mean F1; ``thresholds``, one a training, of a
        task that has any.
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
    # Only what answers with several labels has any.
    thresholds = [t["threshold"] for t in trainings if "threshold" in t]
    return {
        **figures,
        "per_attribute": per_attribute,
        **({"thresholds": thresholds} if thresholds else {}),
    }
