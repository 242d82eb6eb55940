"""A classifier of the seed examples alone, whose agreement with a candidate denoise asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msp.config import StudentConfig
from msp.denoise.scorer import TextEncoder
from msp.records import Example
from msp.students.examples import Floats, training_set
from msp.students.head import head_probabilities, train_head

_NUM_HEADS = 3


class SeedLabeller:
    """The mean of three heads on frozen embeddings of the seed examples.

    It sees neither dev nor test examples, so that a student's threshold and score stay
    theirs. The same seeds and encoder give the same classifier in every process.

    Args:
        seeds: what it learns from.
        labels: A of them, in the ontology's order.
        encoder: gives the embeddings, here and later.
        seed: the run's.
    """

    def __init__(
        self, seeds: Sequence[Example], labels: Sequence[str], encoder: TextEncoder, *, seed: int
    ) -> None:
        self.labels = tuple(labels)
        config = StudentConfig()
        training = training_set(seeds, (), labels=labels, config=config, seed=seed)
        vectors = encoder.encode(training.texts)
        self._heads = [
            train_head(config, training, vectors, seed=seed + number)
            for number in range(_NUM_HEADS)
        ]

    def probabilities(self, vectors: Floats) -> Floats:
        """Return [N, A] probabilities for embeddings [N, D]."""
        mean: Floats = np.mean([head_probabilities(h, vectors) for h in self._heads], axis=0)
        return mean
