"""What a policy decides by: how each attribute stands before a round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """One attribute before a round.

    Args:
        error: 1 - F1 on dev, drawn towards the error over all attributes where it was
            measured on a handful of examples; 0 to 1.
        num_real: seed examples that carry it.
        num_kept: synthetic examples that carry it, of all rounds so far.
        num_candidates: that were asked to carry it, of all rounds so far.
    """

    error: float
    num_real: int
    num_kept: int = 0
    num_candidates: int = 0

    @property
    def num_examples(self) -> int:
        """What a student has to learn it from."""
        return self.num_real + self.num_kept


@dataclass(frozen=True, slots=True)
class Situation:
    """All attributes that can be asked for, before a round.

    Args:
        attributes: attribute -> how it stands; labels and slots.
        keep_rate: share of all candidates so far that were kept; None before the first round.
    """

    attributes: Mapping[str, Standing]
    keep_rate: float | None = None

    def shortage(self, name: str) -> float:
        """Return how short an attribute's examples are: 1 for none, 1/2 for the mean number."""
        numbers = [standing.num_examples for standing in self.attributes.values()]
        mean = sum(numbers) / len(numbers)
        return mean / (mean + self.attributes[name].num_examples) if mean else 1.0
