"""Which examples share an optimiser step: the same in every process, and with little padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

BATCHES_PER_BUCKET = 8
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
    shuffled = rng.permutation(len(lengths)).tolist()
    num_batches = -(-len(lengths) // batch_size)
    edges = _even_edges(len(lengths), num_batches)
    bounds = _even_edges(num_batches, -(-num_batches // BATCHES_PER_BUCKET))
    batches: list[list[int]] = []
    for first, last in pairwise(bounds):
        start = edges[first]
        bucket = sorted(shuffled[start : edges[last]], key=lambda place: lengths[place])
        cuts = pairwise(edges[first : last + 1])
        batches += [bucket[begin - start : end - start] for begin, end in cuts]
    return [batches[place] for place in rng.permutation(num_batches).tolist()]


def share(batch: Sequence[int], *, rank: int, num_workers: int) -> list[int]:
    """Return one worker's part of a batch; all parts together are the batch, none twice."""
    return list(batch[rank::num_workers])


def _even_edges(num: int, num_parts: int) -> list[int]:
    """Return the borders that cut ``num`` things into parts whose sizes differ by at most one."""
    return [num * part // num_parts for part in range(num_parts + 1)]
