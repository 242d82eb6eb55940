"""How far a candidate is from what was asked: MSP's noise score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msp.records import Constraint, Example


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


def noise_score(*, overlap: float, similarity: float, frequency_weight: float) -> float:
    """Return the noise score (MSP, section 3.4): what is common or strays far is noisier.

    Args:
        overlap: mean frequency of the attributes in the seed data, 0 to 1.
        similarity: cosine to the unit's seed example, -1 to 1.
        frequency_weight: weight of the first; the distance has the rest.

    Returns:
        0 for a rare constraint met word for word, at most 2; higher is always worse.
    """
    return frequency_weight * overlap + (1.0 - frequency_weight) * (1.0 - similarity)


def _names(carrier: Example | Constraint) -> list[str]:
    return sorted({*carrier.attributes, *carrier.values})
