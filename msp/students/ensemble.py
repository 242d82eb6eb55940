"""Classifiers of the seed examples that must agree before a text of a new combination counts.

No seed example shows what a new combination looks like, so that one classifier
is sure of it proves little. Each member has learned from another draw of the seed
examples. How sure is sure enough is read from real texts whose combinations were
held out: with a few dozen seed examples a classifier is never sure of much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from msp.config import StudentConfig
from msp.records import Example
from msp.students.examples import Bools, Floats, TrainingSet, training_set
from msp.students.head import head_probabilities, train_head
from msp.tasks.sampling import deal

_NUM_MEMBERS = 5
_NUM_FOLDS = 5
_NEAR_MISSES = 4
_SEED_OF_DRAWS = 1


class SeedEnsemble:
    """Heads on frozen embeddings, each of another bootstrap draw of the seed examples.

    Args:
        seeds: what they learn from.
        vectors: [N, D], the seeds' embeddings.
        labels: A of them, in the ontology's order.
        seed: of draws and initial weights.
    """

    def __init__(
        self, seeds: Sequence[Example], vectors: Floats, labels: Sequence[str], *, seed: int
    ) -> None:
        config = StudentConfig()
        whole = training_set(seeds, (), labels=labels, config=config, seed=seed)
        self._heads = [
            train_head(config, _drawn(whole, seed + number), vectors, seed=seed + number)
            for number in range(_NUM_MEMBERS)
        ]

    def support(self, vectors: Floats, asked: Bools) -> npt.NDArray[np.float64]:
        """Return [N], how sure the members are of the asked label that they find least.

        The mean over members of each one's lowest probability of an asked label; 1 where
        nothing was asked.

        Args:
            vectors: [N, D], of texts.
            asked: [N, A], true where a text was asked to carry a label.
        """
        if not len(vectors):
            return np.zeros(0)
        said = [
            np.where(asked, head_probabilities(head, vectors), 1.0).min(axis=1)
            for head in self._heads
        ]
        mean: npt.NDArray[np.float64] = np.mean(said, axis=0, dtype=np.float64)
        return mean


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rule does to real texts of combinations that its classifiers have not seen.

    Args:
        threshold: support from which a text is accepted.
        num_right: real texts that were asked for what they carry.
        num_right_accepted: of these.
        num_wrong: the same texts, asked for all but one of their labels and another one.
        num_wrong_accepted: of these.
    """

    threshold: float
    num_right: int
    num_right_accepted: int
    num_wrong: int
    num_wrong_accepted: int

    def precision(self, accepted_share: float) -> float | None:
        """Return the estimated share of right ones among accepted candidates; None: unknown.

        The share that is accepted of all candidates, and of right and of wrong texts,
        say how many candidates were right to begin with (Rogan and Gladen, 1978).

        Args:
            accepted_share: of the candidates that the rule judged.
        """
        if not self.num_right or not self.num_wrong or accepted_share <= 0:
            return None
        right = self.num_right_accepted / self.num_right
        wrong = self.num_wrong_accepted / self.num_wrong
        if right <= wrong:
            return None
        prior = min(max((accepted_share - wrong) / (right - wrong), 0.0), 1.0)
        accepted = prior * right + (1 - prior) * wrong
        return prior * right / accepted if accepted else None


def try_on_held_out(
    seeds: Sequence[Example], vectors: Floats, labels: Sequence[str], *, share: float, seed: int
) -> Trial:
    """Return the threshold that so many real texts of held-out combinations reach, and its price.

    The combinations of two labels and more are dealt into folds; for each the ensemble
    learns from the seed examples of all others. Where no example has two labels, nothing
    can be held out, and everything is accepted.

    Args:
        seeds: real examples.
        vectors: [N, D], of their texts.
        labels: A of them.
        share: of the real texts that are to be accepted.
        seed: of draws and initial weights.
    """
    gold = training_set(seeds, (), labels=labels, config=StudentConfig(), seed=seed).gold
    right, wrong = [np.zeros(0)], [np.zeros(0)]
    for held in _folds(seeds, seed):
        combinations = {seeds[row].attributes for row in held}
        rest = [row for row, example in enumerate(seeds) if example.attributes not in combinations]
        if not rest:
            continue
        found = SeedEnsemble([seeds[row] for row in rest], vectors[rest], labels, seed=seed)
        right.append(found.support(vectors[held], gold[held]))
        asked, of = _near_misses(gold, held, seed)
        wrong.append(found.support(vectors[of], asked))
    of_right, of_wrong = np.concatenate(right), np.concatenate(wrong)
    threshold = float(np.quantile(of_right, 1 - share)) if len(of_right) else 0.0
    return Trial(
        threshold,
        len(of_right),
        int((of_right >= threshold).sum()),
        len(of_wrong),
        int((of_wrong >= threshold).sum()),
    )


def _drawn(whole: TrainingSet, seed: int) -> TrainingSet:
    """Return a bootstrap draw, as weights: an example that is not drawn has none."""
    size = len(whole.texts)
    counts = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size))
    return replace(whole, weights=counts.astype(np.float64))


def _folds(seeds: Sequence[Example], seed: int) -> list[list[int]]:
    """Return rows of examples with several labels, those of one combination in one fold."""
    first: dict[tuple[str, ...], Example] = {}
    for example in seeds:
        if len(example.attributes) > 1:
            first.setdefault(example.attributes, example)
    dealt = deal(tuple(first.values()), min(_NUM_FOLDS, len(first)), seed=seed) if first else []
    return [
        [row for row, e in enumerate(seeds) if e.attributes in {one.attributes for one in fold}]
        for fold in dealt
        if fold
    ]


def _near_misses(gold: Bools, held: Sequence[int], seed: int) -> tuple[Bools, list[int]]:
    """Return label sets that differ from a text's own by one label, and whose text each is."""
    rng = np.random.default_rng((seed, _SEED_OF_DRAWS))
    common = gold.sum(axis=0).astype(np.float64)
    asked, of = [], []
    for row in held:
        own = gold[row]
        shares = np.where(own, 0.0, common)
        for _ in range(_NEAR_MISSES if shares.any() else 0):
            other = own.copy()
            other[rng.choice(np.flatnonzero(own))] = False
            other[rng.choice(len(own), p=shares / shares.sum())] = True
            asked.append(other)
            of.append(row)
    return np.array(asked, dtype=np.bool_).reshape(len(of), gold.shape[1]), of
