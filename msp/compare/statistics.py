"""Whether paired differences are more than luck: an exact sign-flip test and a bootstrap interval.

Both take the pairs in strata (the tasks of a comparison), each of which weighs
the same whatever its number of pairs, so that a task with many folds does not
speak for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# All sign vectors of so many pairs: 65,536 of them.
MAX_EXACT_PAIRS = 16
NUM_SAMPLED = 20_000
NUM_RESAMPLES = 10_000
_CHUNK = 2_000
# Statistics of two sign vectors that are equal on paper differ by rounding.
_ROUNDING = 1e-9
_SEED = 0


@dataclass(frozen=True, slots=True)
class Paired:
    """What paired differences come to, in the differences' own unit.

    Args:
        num_pairs: over all strata.
        mean: of the strata's means.
        low: 2.5 % end of the bootstrap interval of the mean; None for less than two pairs.
        high: 97.5 % end likewise.
        p: two-sided, of the sign-flip test.
        smallest_p: what ``p`` would be if every pair had the same sign, and so the smallest that
            this number of pairs can give.
    """

    num_pairs: int
    mean: float
    low: float | None
    high: float | None
    p: float
    smallest_p: float

    @property
    def tone(self) -> str:
        """Better or worse where p is 0.05 or less; same otherwise."""
        if self.p > 0.05:
            return "same"
        return "better" if self.mean > 0 else "worse"

    @property
    def leans(self) -> bool:
        """Whether the interval leaves 0 out though p is above 0.05: too few pairs to say."""
        if self.tone != "same" or self.low is None or self.high is None:
            return False
        return self.low > 0 or self.high < 0


def compare_paired(strata: Sequence[Sequence[float]]) -> Paired | None:
    """Return what the differences come to; None where there is no pair at all.

    Args:
        strata: each one's paired differences; a stratum without any is left out.
    """
    found = [np.asarray(values, dtype=np.float64) for values in strata if len(values)]
    if not found:
        return None
    weighted = np.concatenate([values / len(values) for values in found]) / len(found)
    p, smallest_p = _sign_flip(weighted)
    low, high = _interval(found)
    return Paired(len(weighted), float(weighted.sum()), low, high, p, smallest_p)


def _sign_flip(weighted: Floats) -> tuple[float, float]:
    """Return the p-value of the sum if every sign were a coin toss, and the smallest possible.

    All sign vectors are gone through for up to :data:`MAX_EXACT_PAIRS` pairs that differ from 0;
    for more a seeded sample of :data:`NUM_SAMPLED`, counted with the observed one (Phipson and
    Smyth, 2010), so that p is never 0.
    """
    moving = weighted[weighted != 0]
    if not len(moving):
        return 1.0, 1.0
    total = np.abs(moving).sum()
    limit = abs(moving.sum()) - _ROUNDING * total
    if len(moving) <= MAX_EXACT_PAIRS:
        # The first sign is held, since a vector and its opposite are equally far from 0.
        codes = np.arange(2 ** (len(moving) - 1))[:, None] >> np.arange(len(moving)) & 1
        sums = np.abs((1 - 2 * codes) @ moving)
        return float((sums >= limit).mean()), min(1.0, 2.0 ** (1 - len(moving)))
    rng = np.random.default_rng(_SEED)
    reached = 0
    for _ in range(0, NUM_SAMPLED, _CHUNK):
        signs = 1.0 - 2.0 * rng.integers(2, size=(_CHUNK, len(moving)), dtype=np.int8)
        reached += int((np.abs(signs @ moving) >= limit).sum())
    return (1 + reached) / (1 + NUM_SAMPLED), 1 / (1 + NUM_SAMPLED)


def _interval(strata: Sequence[Floats]) -> tuple[float | None, float | None]:
    """Return the 95 % percentile bootstrap interval of the mean, drawn within each stratum."""
    if sum(map(len, strata)) < 2:
        return None, None
    rng = np.random.default_rng(_SEED)
    means = np.zeros(NUM_RESAMPLES)
    for values in strata:
        drawn = rng.integers(len(values), size=(NUM_RESAMPLES, len(values)))
        means += values[drawn].mean(axis=1)
    low, high = np.quantile(means / len(strata), (0.025, 0.975))
    return float(low), float(high)
