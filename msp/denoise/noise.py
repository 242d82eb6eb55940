"""How far a candidate is from what was asked: MSP's noise score, and a classifier's doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from msp.records import Constraint, Example

Bools = npt.NDArray[np.bool_]


def attribute_frequencies(seeds: Sequence[Example]) -> dict[str, float]:
    """Return, for every label and slot that occurs, the share of the seed examples that carry it.

    Labels and slots share the ontology's one namespace.
    """
    counts = Counter(name for seed in seeds for name in _names(seed))
    return {name: count / len(seeds) for name, count in counts.items()}


def attribute_overlap(constraint: Constraint, frequencies: Mapping[str, float]) -> float:
    """Return the mean frequency of a constraint's labels and slots; 0 where it has none.

    Args:
        constraint: what was asked for.
        frequencies: from :func:`attribute_frequencies`; what is not there counts as 0.
    """
    names = _names(constraint)
    return sum(frequencies.get(name, 0.0) for name in names) / len(names) if names else 0.0


def disagreement(probabilities: npt.NDArray[np.floating[Any]], asked: Bools) -> float:
    """Return how little a classifier agrees that a text carries what was asked, and nothing else.

    ``1 - exp(L / n)`` for the log-likelihood L of the asked label set and its n
    labels, so that sets of one and of four labels share a scale.

    Args:
        probabilities: [A], of each label.
        asked: [A], true where the constraint has the label.

    Returns:
        0 where it is sure of exactly these labels, towards 1 where it is sure of others.
    """
    likelihoods = np.where(asked, probabilities, 1.0 - probabilities)
    total = float(np.log(likelihoods + 1e-4).sum())
    return 1.0 - float(np.exp(min(total, 0.0) / max(int(asked.sum()), 1)))


def noise_score(
    *, overlap: float, similarity: float, disagreement: float, weights: tuple[float, float, float]
) -> float:
    """Return the noise score: what is common, strays far or is taken for something else is noisier.

    With weights (0.5, 0.5, 0) it is MSP's own (section 3.4). The third term is
    ours: a text may be near its seed example and still lack one of its labels.

    Args:
        overlap: mean frequency of the attributes in the seed data, 0 to 1.
        similarity: cosine to the unit's seed example, -1 to 1.
        disagreement: from :func:`disagreement`, 0 to 1.
        weights: of overlap, of ``1 - similarity`` and of disagreement; they sum to 1.

    Returns:
        0 at best, at most 2; higher is always worse.
    """
    frequency_weight, distance_weight, disagreement_weight = weights
    return (
        frequency_weight * overlap
        + distance_weight * (1.0 - similarity)
        + disagreement_weight * disagreement
    )


def _names(carrier: Example | Constraint) -> list[str]:
    return sorted({*carrier.attributes, *carrier.values})
