"""Which attribute combinations can be asked for: those of the seed examples, and new ones of these.

A new combination is one or two labels of one seed example with one label of
another, which no seed example carries together; or a label that none carries at
all, alone or with such labels. Not every such pair makes
sense in one sentence; a rule or a classifier of the pairs that do occur says
which are compatible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import combinations

import numpy as np

from msp.config import GenerateConfig, RunConfig
from msp.methods.base import unit_rng
from msp.records import Example
from msp.tasks.base import TaskData

Pair = frozenset[str]
Compatible = Callable[[str, str], bool]

# Draws per seed example from which the new combinations are taken, and how many are taken at
# most: the frequent draws are those whose labels are frequent.
_DRAWS_PER_SEED = 64
_NOVEL_PER_SEED = 4


def carried(example: Example) -> tuple[str, ...]:
    """Return the labels and filled slots of an example, each once, labels first."""
    slots = (slot for slot, texts in example.values.items() if texts)
    return tuple(dict.fromkeys([*example.attributes, *slots]))


def most_labels(seeds: Sequence[Example]) -> int:
    """Return how many labels the richest seed example has; 1 or 0 in a single-label task."""
    return max((len(example.attributes) for example in seeds), default=0)


def unseen_attributes(config: RunConfig, task: TaskData) -> list[Example]:
    """Return, for each label that no seed example carries, an example of it without a text.

    So it takes part in new combinations like a label with a single seed example. None where
    ``generate.unseen_attributes`` is off, and in tasks whose labels stand over words: there is
    no string to ask for.
    """
    if not config.generate.unseen_attributes or task.kind != "multilabel":
        return []
    known = {name for example in task.seeds for name in example.attributes}
    return [
        Example(uid=f"unseen:{attribute.name}", text="", attributes=(attribute.name,))
        for attribute in task.ontology.attributes
        if attribute.name not in known
    ]


def is_stand_in(example: Example) -> bool:
    """Tell whether an example only stands for a label; see :func:`unseen_attributes`."""
    return not example.text


def draw_novel(
    source: Example, others: Sequence[Example], limit: int, rng: np.random.Generator
) -> tuple[Example, frozenset[str]]:
    """Return another example and labels of the two: one or two of the source's, one of its own.

    With a stand-in it may be that label alone.
    """
    other = others[int(rng.integers(len(others)))]
    # A label that no seed example carries may stand alone: that is new, too.
    fewest = 0 if is_stand_in(other) else 1
    num_own = min(int(rng.integers(fewest, 3)), len(source.attributes), max(limit - 1, 0))
    own = rng.choice(len(source.attributes), num_own, replace=False)
    borrowed = other.attributes[int(rng.integers(len(other.attributes)))]
    return other, frozenset([*(source.attributes[i] for i in own), borrowed])


def novel_weights(
    config: GenerateConfig,
    seeds: Sequence[Example],
    seed: int,
    *,
    unseen: Sequence[Example] = (),
    all_drawn: bool = False,
) -> dict[frozenset[str], float]:
    """Return the new combinations that can be asked for -> how often they are drawn.

    Empty for a single-label task, and where labels cannot be mixed anew.

    Args:
        config: ``attributes`` and ``compatibility``.
        seeds: the seed examples.
        seed: of the draws.
        unseen: from :func:`unseen_attributes`.
        all_drawn: return rare ones, too, for who names those that are asked for.
    """
    labelled = [example for example in seeds if example.attributes]
    limit = most_labels(seeds)
    if limit < 2 or len(labelled) < 2:
        return {}
    known = {frozenset(example.attributes) for example in seeds}
    compatible = make_compatible(config.compatibility, seeds)
    rng = unit_rng("novel combinations", seed)
    drawn: Counter[frozenset[str]] = Counter()
    for source in labelled:
        for _ in range(_DRAWS_PER_SEED):
            _, labels = draw_novel(source, (*labelled, *unseen), limit, rng)
            if labels not in known and is_compatible(labels, compatible):
                drawn[labels] += 1
    ranked = sorted(drawn.items(), key=lambda item: (-item[1], sorted(item[0])))
    most = len(ranked) if all_drawn else _NOVEL_PER_SEED * len(labelled)
    return {labels: float(n) for labels, n in ranked[:most]}


def is_compatible(labels: Collection[str], compatible: Compatible) -> bool:
    """Say whether every two of the labels go together."""
    return all(compatible(a, b) for a, b in combinations(sorted(labels), 2))


def make_compatible(kind: str, seeds: Sequence[Example]) -> Compatible:
    """Return what says whether two labels go together, by ``generate.compatibility``.

    - ``any``: every two do.
    - ``companions``: those that a seed example carries together, and those of
      which one was seen with a label that the other's like was seen with:
      ``book`` goes with ``gym`` where ``ask`` was seen with ``gym`` and, like
      ``book``, with ``spa``.
    - ``classifier``: as a logistic regression says that has learned from the
      companions of the pairs that do occur which pairs occur.
    """
    if kind == "any":
        return lambda a, b: True
    companions = _companions(seeds)
    if kind == "companions":
        return lambda a, b: b in companions[a] or _num_alike(companions, a, b) > 0
    return _PairClassifier(companions)


def _companions(seeds: Sequence[Example]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for example in seeds:
        for label in example.attributes:
            found[label] |= {*example.attributes} - {label}
    return found


class _PairClassifier:
    """Says whether two labels go together, from their companions alone.

    A pair's own occurrence is taken out of its features, so that what is
    learned from pairs that were seen holds for pairs that were not.
    """

    def __init__(self, companions: dict[str, set[str]]) -> None:
        from sklearn.linear_model import LogisticRegression

        self._companions = companions
        pairs = list(combinations(sorted(companions), 2))
        together = np.array([b in companions[a] for a, b in pairs])
        self._always: bool | None = None
        if together.all() or not together.any():
            self._always = bool(together.all())
            return
        features = np.array([self._features(a, b) for a, b in pairs])
        self._model = LogisticRegression(class_weight="balanced").fit(features, together)

    def __call__(self, a: str, b: str) -> bool:
        if b in self._companions[a]:
            return True
        if self._always is not None:
            return self._always
        return bool(self._model.predict(np.array([self._features(a, b)]))[0])

    def _features(self, a: str, b: str) -> list[float]:
        """[4]: labels like the one and seen with the other, shared companions, both's number."""
        of_a, of_b = self._companions[a] - {b}, self._companions[b] - {a}
        counts = (
            _num_alike(self._companions, a, b),
            len(of_a & of_b),
            min(len(of_a), len(of_b)),
            max(len(of_a), len(of_b)),
        )
        return [float(np.log1p(count)) for count in counts]


def _num_alike(companions: dict[str, set[str]], a: str, b: str) -> int:
    """Return how many labels have a companion in common with ``a`` and were seen with ``b``."""
    of_a, of_b = companions[a] - {b}, companions[b] - {a}
    return sum(bool(companions[label] & of_a - {b}) for label in of_b)
