"""Which seed examples are shown in the context of a generation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from msp.records import Example


def choose_exemplars(
    seed_example: Example,
    seeds: Sequence[Example],
    *,
    num: int,
    pool_size: int,
    rng: np.random.Generator,
) -> tuple[Example, ...]:
    """Draw seed examples that resemble one, the nearest last.

    For many draws from the same seeds, an :class:`ExemplarPools` is faster.

    Args:
        seed_example: never chosen itself, neither by uid nor by text.
        seeds: all seed examples, in any order: ties are broken by uid.
        num: how many to draw; fewer come back where the pool is smaller.
        pool_size: size of the pool.
        rng: the only source of chance.

    Returns:
        at most ``num`` exemplars, farthest first.
    """
    return ExemplarPools(seeds, pool_size).draw(seed_example, num, rng=rng)


class ExemplarPools:
    """For each seed example, the others that have the most in common with it.

    Only those in the same domain that share a label or a slot count; the
    ``pool_size`` best are the pool (MSP's released code: best 10, draw 2).

    Args:
        seeds: all seed examples, in any order.
        pool_size: size of a pool.
    """

    def __init__(self, seeds: Sequence[Example], pool_size: int) -> None:
        self._seeds = seeds
        self._pool_size = pool_size
        self._carriers: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for place, example in enumerate(seeds):
            for name in _names(example):
                self._carriers[name].append(place)
        self._pools: dict[str, tuple[Example, ...]] = {}

    def pool(self, example: Example) -> tuple[Example, ...]:
        """Return an example's pool, the nearest first, ties by uid."""
        if example.uid not in self._pools:
            self._pools[example.uid] = self._make_pool(example)
        return self._pools[example.uid]

    def draw(self, example: Example, num: int, *, rng: np.random.Generator) -> tuple[Example, ...]:
        """Draw at most ``num`` of the pool, farthest first.

        The last line of a context guides a small LM the most, so overlap rises.
        """
        pool = self.pool(example)
        drawn = rng.permutation(len(pool))[:num]
        return tuple(pool[place] for place in sorted(drawn.tolist(), reverse=True))

    def _make_pool(self, example: Example) -> tuple[Example, ...]:
        overlaps = Counter(
            place for name in _names(example) for place in self._carriers.get(name, ())
        )
        others = [
            (-overlap, self._seeds[place].uid, place)
            for place, overlap in overlaps.items()
            if self._seeds[place].uid != example.uid and self._seeds[place].text != example.text
        ]
        return tuple(self._seeds[place] for _, _, place in sorted(others)[: self._pool_size])


def _names(example: Example) -> list[tuple[str, str, str]]:
    """Return what an example can share, each with its domain: nothing is shared across domains."""
    labels = {(example.domain, "label", name) for name in example.attributes}
    slots = {(example.domain, "slot", name) for name, texts in example.values.items() if texts}
    return sorted(labels | slots)
