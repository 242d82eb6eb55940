"""What every method gives: a plan, which is a function of config, seed examples and unit number.

Shards cut the plan into pieces that commit together. A shard's number, like a
unit's, means the same thing in every process and after every restart, which is
what makes a run exactly-once without a ledger.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np

from msp.records import Unit


class Plan(Protocol):
    """The work of one round: ``unit(i)`` for ``0 <= i < num_units``, the same in every process.

    ``round`` is its number, and ``first_unit`` the id of its unit 0: ids go on
    from round to round.
    """

    round: int
    first_unit: int
    num_units: int

    def unit(self, index: int) -> Unit:
        """Return the round's unit ``index``: a function of config, seeds and the round's record."""
        ...


def unit_key(*parts: object) -> int:
    """Return 128 bits that depend on the parts' text alone: the root of a unit's randomness."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def unit_rng(*parts: object) -> np.random.Generator:
    """Return a counter-based generator for the parts; no other unit shares its stream."""
    return np.random.Generator(np.random.Philox(key=unit_key(*parts)))


def candidate_stream(*parts: object) -> int:
    """Return the start of a unit's candidate streams: 47 random bits above 16 zero ones.

    Candidate k draws from ``start + k``, so streams of one unit never meet
    those of another, and the number stays a positive int64.
    """
    return (unit_key("candidates", *parts) & (2**47 - 1)) << 16


def num_shards(num_units: int, units_per_shard: int) -> int:
    """Return how many shards hold ``num_units`` units."""
    return -(-num_units // units_per_shard)


def shard_units(shard: int, units_per_shard: int, num_units: int) -> range:
    """Return the indices of a shard's units in their round; the last shard may be short."""
    return range(shard * units_per_shard, min((shard + 1) * units_per_shard, num_units))
