"""A bounded sample of candidates that shows something of every attribute and reason.

A candidate's place in the draw follows from its id and the seed alone, so the
sample is the same however the candidates were sharded or ordered, and the
sample of a whole is made of the samples of its parts.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any

import numpy as np

NUM_PER_STRATUM = 20
EVERYTHING = ""


@dataclass(frozen=True, slots=True)
class SampledCandidate:
    """One candidate with the constraint it answers; the words are those of the store's columns.

    ``mix`` is the second class and the share of the first.
    """

    candidate_id: int
    unit_id: int
    round: int
    seed_uid: str
    attributes: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    text: str
    kept: bool
    reason: str | None
    noise_score: float
    similarity: float
    mix: tuple[str, float] | None = None
    relabelled: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; NaN, which JSON has not, as None."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        named["values"] = list(self.values.items())  # slots stay in the constraint's order
        for name in _SCORES:
            named[name] = None if math.isnan(named[name]) else named[name]
        return named

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> SampledCandidate:
        """Return the candidate whose :meth:`as_json` this is."""
        known = {name: math.nan if row[name] is None else row[name] for name in _SCORES}
        values = {slot: tuple(texts) for slot, texts in row["values"]}
        tuples = {"attributes": tuple(row["attributes"]), "values": values}
        mix = row.get("mix")
        return cls(**{**row, **known, **tuples, "mix": None if mix is None else tuple(mix)})


_SCORES = ("noise_score", "similarity")


def draw_keys(candidate_ids: Any, *, seed: int) -> Any:
    """Return one pseudo-random uint64 per candidate id, [C] -> [C].

    SplitMix64's finaliser (Steele, Lea and Flood, 2014): neighbouring ids get unrelated keys.
    """
    key: Any = candidate_ids.astype(np.uint64)
    key = key + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    return key ^ (key >> np.uint64(31))


class StratifiedSample:
    """Holds the candidates with the smallest keys: overall, and of each stratum.

    Args:
        size: candidates that :meth:`rows` gives at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._heaps: dict[str, list[tuple[int, int, SampledCandidate]]] = {EVERYTHING: []}
        self._num_taken = 0

    def offer(self, strata: Iterable[str], key: int, make: Callable[[], SampledCandidate]) -> None:
        """Take the candidate where its key is among a stratum's smallest; only then make it."""
        wanting = [stratum for stratum in strata if key < self._threshold(stratum)]
        if not wanting:
            return
        row = make()
        for stratum in wanting:
            heap = self._heaps.setdefault(stratum, [])
            self._num_taken += 1  # decides between equal keys, as rows have no order
            heapq.heappush(heap, (-key, self._num_taken, row))
            if len(heap) > self._limit(stratum):
                heapq.heappop(heap)

    def held(self) -> list[SampledCandidate]:
        """Return every candidate of every stratum by id, each once: what the whole needs of it."""
        rows = {row.candidate_id: row for heap in self._heaps.values() for _, _, row in heap}
        return [rows[number] for number in sorted(rows)]

    def rows(self) -> tuple[SampledCandidate, ...]:
        """Return at most ``size`` candidates by id, up to half of them for the strata's sake."""
        strata = [self._ordered(name) for name in sorted(self._heaps) if name != EVERYTHING]
        chosen: dict[int, SampledCandidate] = {}
        for rank in zip_longest(*strata):
            for row in rank:
                if row is not None and len(chosen) < self._size // 2:
                    chosen[row.candidate_id] = row
        for row in self._ordered(EVERYTHING):
            if len(chosen) < self._size:
                chosen[row.candidate_id] = row
        return tuple(chosen[number] for number in sorted(chosen))

    def _threshold(self, stratum: str) -> int:
        """Return the key below which the stratum still takes a candidate."""
        heap = self._heaps.get(stratum, [])
        return -heap[0][0] if len(heap) >= self._limit(stratum) else 2**64

    def _limit(self, stratum: str) -> int:
        return self._size if stratum == EVERYTHING else NUM_PER_STRATUM

    def _ordered(self, stratum: str) -> list[SampledCandidate]:
        return [row for _, _, row in sorted(self._heaps[stratum], key=lambda item: -item[0])]
