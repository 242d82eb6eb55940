"""Which candidates a person sees, and in which order: the weakest attributes first.

Of a run with millions of candidates a few hundred are reviewed, so a bounded
number of shards is read and a bounded number of candidates of each attribute is held.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from msp.config import DenoiseConfig
from msp.denoise.final import FinalVerdicts, read_cutoffs
from msp.denoise.keep import OFF_TOPIC
from msp.denoise.scorer import UNLIKELY
from msp.metrics.tally import combination
from msp.review.decisions import text_sha256
from msp.review.labelling import Reviewable
from msp.storage import layout
from msp.storage.store import ObjectStore

# 8,192 units at the default size of a shard; half a minute over a slow network.
MAX_SHARDS = 256
# Held of each attribute: an hour's work on one.
MAX_KEPT, MAX_DROPPED = 80, 40
# In one turn of an attribute, before the next weakest has its turn: ten minutes go over forty.
KEPT_PER_TURN, DROPPED_PER_TURN = 8, 4
_MEASURED_DROPS = (OFF_TOPIC, UNLIKELY)
# Nothing can be below a cut of 0, and every share needs a whole.
_LEAST_CUT = 1e-9


@dataclass(slots=True)
class _Pool:
    """The candidates of one attribute: kept ones by lot, dropped ones by nearness to the cut."""

    kept: list[tuple[float, int]] = field(default_factory=list)
    dropped: list[tuple[float, int]] = field(default_factory=list)

    def offer(self, candidate: Reviewable, rank: float) -> None:
        """Hold the candidate where its rank is among the smallest."""
        heap, room = (
            (self.kept, MAX_KEPT) if candidate.reason is None else (self.dropped, MAX_DROPPED)
        )
        heapq.heappush(heap, (-rank, candidate.candidate_id))
        if len(heap) > room:
            heapq.heappop(heap)

    def turns(self) -> Iterator[list[int]]:
        """Yield the ids of turn after turn, the smallest ranks first."""
        kept, dropped = (
            iter([number for _, number in sorted(heap, key=lambda item: (-item[0], item[1]))])
            for heap in (self.kept, self.dropped)
        )
        while turn := [*islice(kept, KEPT_PER_TURN), *islice(dropped, DROPPED_PER_TURN)]:
            yield turn


@dataclass(frozen=True)
class Queue:
    """What can be reviewed.

    Args:
        candidates: id -> candidate.
        line: their ids, each once, in the order in which they are shown.
        attributes: label or slot -> ids of its candidates; the weakest attribute first.
    """

    candidates: Mapping[int, Reviewable]
    line: tuple[int, ...]
    attributes: Mapping[str, frozenset[int]]


def draw_queue(
    store: ObjectStore,
    denoise: DenoiseConfig,
    *,
    weakest: Sequence[str],
    decided: Mapping[int, str],
    lot: int,
) -> Queue:
    """Return the candidates to review: of each attribute kept ones and ones just dropped.

    Kept ones are drawn by lot, since what is accepted becomes an exemplar and a
    training example and must not lean to one side; of the dropped ones those are
    taken that missed a measured cut by least, where a verdict is most often wrong.

    Args:
        store: the run's.
        denoise: the run's cuts.
        weakest: attributes, the weakest first; others come after them by name.
        decided: candidate id -> SHA-256 of the text that was decided on; these are left out.
        lot: the seed of the draw; two servers with different ones show different candidates first.
    """
    pools: dict[str, _Pool] = {}
    held: dict[int, Reviewable] = {}
    rng = random.Random(lot)
    for candidate, rank in _ranked(store, denoise, decided, rng):
        held[candidate.candidate_id] = candidate
        for name in names_of(candidate):
            pools.setdefault(name, _Pool()).offer(candidate, rank)
        if len(held) > 2 * sum(len(p.kept) + len(p.dropped) for p in pools.values()) + 1000:
            held = _in_pools(held, pools.values())
    held = _in_pools(held, pools.values())
    order = [*(n for n in weakest if n in pools), *sorted(set(pools) - set(weakest))]
    ids = {
        name: frozenset(number for turn in pools[name].turns() for number in turn) for name in order
    }
    return Queue(held, _line([pools[name] for name in order], rng), ids)


def names_of(candidate: Reviewable) -> tuple[str, ...]:
    """Return the labels and filled slots that were asked of a candidate."""
    return combination(list(candidate.attributes), dict(candidate.values))


def _ranked(
    store: ObjectStore, denoise: DenoiseConfig, decided: Mapping[int, str], rng: random.Random
) -> Iterator[tuple[Reviewable, float]]:
    """Yield the candidates that are worth a look, each with its rank; lower is shown first."""
    verdicts = FinalVerdicts(store, read_cutoffs(store))
    for round_, shard in _some_shards(store, rng):
        for unit in verdicts.read(round_, shard).to_pylist():
            for row in unit["candidates"]:
                excess = 0.0 if row["kept"] else _excess(row, denoise)
                if excess is None or decided.get(row["candidate_id"]) == text_sha256(row["text"]):
                    continue
                lot = rng.random()
                yield _reviewable(unit, row, (round_, shard)), lot if row["kept"] else excess


def _excess(row: Mapping[str, Any], denoise: DenoiseConfig) -> float | None:
    """Return by which share of the cut a dropped candidate missed it; None where none was measured.

    What a lexical rule dropped is as wrong as the rule says, and what is over a
    quota or says what another says is not wrong at all.
    """
    if row["reason"] not in _MEASURED_DROPS or not row["target"]:
        return None
    if row["reason"] == OFF_TOPIC:
        measured, cut = row["noise_score"], denoise.max_noise_score
    else:
        measured, cut = -row["logprob"] / max(row["num_tokens"], 1), denoise.max_surprise or 0.0
    return None if math.isnan(measured) else measured / max(cut, _LEAST_CUT) - 1


def _reviewable(
    unit: Mapping[str, Any], row: Mapping[str, Any], place: tuple[int, int]
) -> Reviewable:
    return Reviewable(
        candidate_id=row["candidate_id"],
        round=place[0],
        shard=place[1],
        seed_uid=unit["seed_uid"],
        domain=unit["domain"],
        attributes=tuple(unit["attributes"]),
        values={slot: tuple(texts) for slot, texts in unit["values"]},
        text=row["text"],
        target=row["target"],
        reason=row["reason"],
        noise_score=row["noise_score"],
    )


def _some_shards(store: ObjectStore, rng: random.Random) -> list[tuple[int, int]]:
    """Return at most MAX_SHARDS shards, drawn alike (Vitter's algorithm R), in their order."""
    held: list[tuple[int, int]] = []
    for number, info in enumerate(store.list(layout.CANDIDATES_PREFIX)):
        place = layout.parse_candidates_key(info.key)
        if len(held) < MAX_SHARDS:
            held.append(place)
        elif (slot := rng.randrange(number + 1)) < MAX_SHARDS:
            held[slot] = place
    return sorted(held)


def _in_pools(held: Mapping[int, Reviewable], pools: Iterable[_Pool]) -> dict[int, Reviewable]:
    wanted = {number for pool in pools for _, number in (*pool.kept, *pool.dropped)}
    return {number: held[number] for number in sorted(wanted)}


def _line(pools: Sequence[_Pool], rng: random.Random) -> tuple[int, ...]:
    """Return every id once: a turn of the weakest attribute, of the next, and round again."""
    line: dict[int, None] = {}
    waiting = [pool.turns() for pool in pools]
    while waiting:
        going = []
        for turns in waiting:
            turn = next(turns, None)
            if turn is None:
                continue
            rng.shuffle(turn)  # a verdict must not be guessed from its place
            line |= dict.fromkeys(turn)
            going.append(turns)
        waiting = going
    return tuple(line)
