"""A classifier of seed examples and labels' own texts: denoise asks whether it agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
        is_single: whether each text has exactly one label.
        label_texts: the labels' own texts, which it learns, too.
        label_text_weight: how often, all against all seed examples.

    Attributes:
        seed_vectors: [N, D], the seeds' embeddings in their order.
    """

    def __init__(
        self,
        seeds: Sequence[Example],
        labels: Sequence[str],
        encoder: TextEncoder,
        *,
        seed: int,
        is_single: bool = False,
        label_texts: Sequence[Example] = (),
        label_text_weight: float = 0.5,
    ) -> None:
        self.labels = tuple(labels)
        self._is_single = is_single
        config = StudentConfig(label_text_weight=label_text_weight)
        found = training_set(
            seeds, (), labels=labels, config=config, seed=seed, label_texts=label_texts
        )
        training = replace(found, is_single=is_single)
        vectors = encoder.encode(training.texts)
        self.seed_vectors = vectors[: len(seeds)]
        self._heads = [
            train_head(config, training, vectors, seed=seed + number)
            for number in range(_NUM_HEADS)
        ]

    def probabilities(self, vectors: Floats) -> Floats:
        """Return [N, A] probabilities for embeddings [N, D]."""
        single = self._is_single
        said = [head_probabilities(head, vectors, is_single=single) for head in self._heads]
        mean: Floats = np.mean(said, axis=0)
        return mean
