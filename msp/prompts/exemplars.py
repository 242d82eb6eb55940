"""Which seed examples are shown in the context of a generation."""

from __future__ import annotations

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

    Of those in the same domain that share a label or a slot, the ``pool_size``
    with the most in common are the pool (MSP's released code: best 10, draw 2);
    the last line of a context guides a small LM the most, so overlap rises.

    Args:
        seed_example: never chosen itself, neither by uid nor by text.
        seeds: all seed examples, in any order: ties are broken by uid.
        num: how many to draw; fewer come back where the pool is smaller.
        pool_size: size of the pool.
        rng: the only source of chance.

    Returns:
        at most ``num`` exemplars, farthest first.
    """
    wanted = _names(seed_example)
    scored = [
        (len(wanted & _names(other)), other)
        for other in seeds
        if other.domain == seed_example.domain
        and other.uid != seed_example.uid
        and other.text != seed_example.text
    ]
    pool = sorted((-overlap, other.uid, other) for overlap, other in scored if overlap)[:pool_size]
    drawn = rng.permutation(len(pool))[:num]
    return tuple(pool[place][2] for place in sorted(drawn.tolist(), reverse=True))


def _names(example: Example) -> frozenset[tuple[str, str]]:
    labels = {("label", name) for name in example.attributes}
    return frozenset(labels | {("slot", name) for name, texts in example.values.items() if texts})
