"""Figures of tasks whose target has structure: entities and slots, and whole parses.

Entities are counted as conlleval and seqeval count them: type and both ends must
be right, over all examples together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msp.errors import TaskDataError
from msp.tasks.brackets import Forest, Node, Span, spans_in
from msp.tasks.metrics import percent

SLOT_PREFIX = "SL:"


def entity_scores(gold: Sequence[Forest], predicted: Sequence[Forest]) -> dict[str, float]:
    """Return ``entity_f1``, ``entity_macro_f1``, ``entity_precision`` and ``entity_recall``.

    In percent. The macro figure is the mean over the labels that some gold
    example has; a ratio of nothing to nothing is 0.

    Args:
        gold: one forest an example.
        predicted: likewise, over the same words.

    Raises:
        TaskDataError: there is no example.
    """
    hits, said, real = _counts(gold, predicted)
    per_label = label_f1(gold, predicted).values()
    return {
        "entity_f1": percent(2 * hits.total(), said.total() + real.total()),
        "entity_macro_f1": sum(per_label) / len(per_label) if per_label else 0.0,
        "entity_precision": percent(hits.total(), said.total()),
        "entity_recall": percent(hits.total(), real.total()),
    }


def parse_scores(gold: Sequence[Forest], predicted: Sequence[Forest]) -> dict[str, float]:
    """Return ``exact_match``, ``intent_accuracy`` and ``slot_f1``, in percent.

    A parse matches when every label stands over the same words at the same
    depth. The intent is the root's; slots count at any depth.

    Raises:
        TaskDataError: there is no example.
    """
    hits, said, real = _counts(gold, predicted, prefix=SLOT_PREFIX)
    pairs = list(zip(gold, predicted, strict=True))
    return {
        "exact_match": percent(sum(one == other for one, other in pairs), len(pairs)),
        "intent_accuracy": percent(sum(_root(a) == _root(b) for a, b in pairs), len(pairs)),
        "slot_f1": percent(2 * hits.total(), said.total() + real.total()),
        "slot_precision": percent(hits.total(), said.total()),
        "slot_recall": percent(hits.total(), real.total()),
    }


def label_f1(gold: Sequence[Forest], predicted: Sequence[Forest]) -> dict[str, float]:
    """Return the F1 of each label that some gold example has, by name, in percent."""
    hits, said, real = _counts(gold, predicted)
    return {label: percent(2 * hits[label], said[label] + real[label]) for label in sorted(real)}


def _counts(
    gold: Sequence[Forest], predicted: Sequence[Forest], *, prefix: str = ""
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return the spans that are right, that were said and that are real, per label."""
    assert len(gold) == len(predicted), (len(gold), len(predicted))
    if not gold:
        raise TaskDataError("there is no example to score; give the split some.")
    hits: Counter[str] = Counter()
    said: Counter[str] = Counter()
    real: Counter[str] = Counter()
    for one, other in zip(gold, predicted, strict=True):
        truth, answer = (Counter(spans_in(forest)) for forest in (one, other))
        for into, spans in ((hits, truth & answer), (said, answer), (real, truth)):
            into.update(_labels(spans.elements(), prefix))
    return hits, said, real


def _labels(spans: Iterable[Span], prefix: str) -> list[str]:
    return [span.label for span in spans if span.label.startswith(prefix)]


def _root(forest: Forest) -> str:
    return forest[0].label if forest and isinstance(forest[0], Node) else ""
