"""Rules that ask those who learned from the seed examples whether a text carries what it should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

# The labels are new together, and classifiers of the seed examples hardly find them.
NOT_AGREED = "not_agreed"
# Taggers of the seed examples read other spans than the target says.
SPANS_NOT_AGREED = "spans_not_agreed"

Floats = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float32]


class Ensemble(Protocol):
    """What says how sure classifiers of the seed examples are that texts carry what was asked."""

    def support(self, vectors: Vector, asked: npt.NDArray[np.bool_]) -> Floats:
        """Return [N] figures for texts' vectors [N, D] and what they were asked for [N, A]."""
        ...


class NovelRule(NamedTuple):
    """When a text of a combination that no seed example has may stay.

    Args:
        ensemble: of classifiers of the seed examples.
        labels: A of them, in the order that they were learned in.
        threshold: support that a text needs.
    """

    ensemble: Ensemble
    labels: tuple[str, ...]
    threshold: float

    def unsure(self, texts: Sequence[tuple[Sequence[str], Vector]]) -> list[bool]:
        """Return whether each text, given by asked labels and vector [D], lacks support."""
        if not texts:
            return []
        asked = np.array([np.isin(self.labels, names) for names, _ in texts])
        supports = self.ensemble.support(np.stack([vector for _, vector in texts]), asked)
        return [support < self.threshold for support in supports.tolist()]


class Spotter(Protocol):
    """What says how far taggers of the seed examples find what a target says."""

    def agreement(self, targets: Sequence[str]) -> Floats:
        """Return [N] figures from 0 to 1 for bracketed targets."""
        ...


class SpanRule(NamedTuple):
    """When a text whose words are labelled may stay.

    Args:
        spotter: of the seed examples.
        least: agreement that a text needs.
    """

    spotter: Spotter
    least: float

    def misread(self, targets: Sequence[Mapping[int, str]]) -> list[set[int]]:
        """Return, for each unit's candidate -> target, the candidates that are not agreed on."""
        found = sorted({target for of_unit in targets for target in of_unit.values()})
        if not found:
            return [set() for _ in targets]
        of = dict(zip(found, self.spotter.agreement(found).tolist(), strict=True))
        return [{k for k, target in own.items() if of[target] < self.least} for own in targets]
