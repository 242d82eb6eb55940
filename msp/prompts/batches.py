"""Which examples share an optimiser step: the same in every process, and with little padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

BATCHES_PER_BUCKET = 4
"""Batches that are sorted by length together: enough to save padding, few enough to stay mixed."""


def plan_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Return an epoch's batches as positions in ``lengths``: each position once.

    Drawn from (seed, epoch) alone. Neighbours in a shuffle are sorted by length
    and cut into batches, so that a batch pads little and batches still mix.

    Args:
        lengths: positions of each example.
        batch_size: at most this many examples in a batch; sizes differ by at most one.
        seed: the run's.
        epoch: counted from 1.
    """
    if not lengths:
        return []
    rng = np.random.default_rng([seed % 2**64, epoch])
    shuffled = rng.permutation(len(lengths))
    num_batches = -(-len(lengths) // batch_size)
    edges = np.linspace(0, len(lengths), num_batches + 1).round().astype(int)
    batches: list[list[int]] = []
    for first in range(0, num_batches, BATCHES_PER_BUCKET):
        cuts = edges[first : first + BATCHES_PER_BUCKET + 1]
        first_row = int(cuts[0])
        bucket = sorted(shuffled[first_row : cuts[-1]].tolist(), key=lambda place: lengths[place])
        batches += [
            bucket[start - first_row : end - first_row] for start, end in pairwise(cuts.tolist())
        ]
    return [batches[place] for place in rng.permutation(num_batches).tolist()]


def share(batch: Sequence[int], *, rank: int, num_workers: int) -> list[int]:
    """Return one worker's part of a batch; all parts together are the batch, none twice."""
    return list(batch[rank::num_workers])
