"""How a set grows from one example: which accepted ones format the next round's requests.

A round is a level of the tree, or one step of every chain (LLM Data Creation, arXiv
2310.20111, section 3.3). What it asks for follows from the config and from what the
earlier rounds' records asked for and accepted, in the order of their ids: so a run that
died grows on as it would have, and no request depends on who was ready first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from msp.config import RunConfig
from msp.methods.balance import Cell
from msp.methods.base import unit_rng
from msp.methods.rounds import CellCount, Census, MadeUnit, Request, RoundPlan, settle

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]

# As for other rounds: what is measured counts with a few requests of a guess, and a
# little more is asked for than the rate says.
_PRIOR_REQUESTS = 2.0
_MARGIN = 1.15


@dataclass(frozen=True, slots=True)
class Node:
    """An accepted example; those of a run stand in the order of their ids.

    Args:
        candidate_id: None for the first example, which was given.
        depth: 0 for the first example.
        cell: what it counts as.
        text: the question.
        target: its context, options and answer.
    """

    candidate_id: int | None
    depth: int
    cell: Cell
    text: str
    target: str


class GrownRounds:
    """The rounds of a set that grows; see :class:`msp.methods.rounds.Rounds`.

    It holds every accepted question, and for ``diverse`` and ``similar`` its vector: a
    hundred thousand of them are some hundreds of megabytes, in the driver alone.

    Args:
        config: ``generate.data_creation``, ``num_candidates_per_unit`` and ``seed``.
        targets: what is asked for -> how many of it.
        first: the text and target of the formatting example.
        encode: texts -> vectors of length 1, for ``diverse`` and ``similar``; each accepted
            text is asked for once in a process.
    """

    def __init__(
        self,
        config: RunConfig,
        targets: Mapping[Cell, int],
        first: tuple[Cell, str, str],
        *,
        encode: Encode,
    ) -> None:
        self.targets = dict(targets)
        self.stopped: str | None = None
        self._config, self._created = config, config.generate.data_creation
        self._encode = encode
        self._nodes = [Node(None, 0, *first)]
        self._places: dict[int | None, int] = {None: 0}
        # Places of nodes: those of the tree that wait, those that have formatted a request,
        # and where each chain stands.
        self._waiting: deque[int] = deque([0])
        self._used: set[int] = set()
        self._current = [0] * self._created.num_chains
        self._vectors: list[Vectors] = []
        self._num_requests = self._num_accepted = self._num_fruitless = 0

    def first(self) -> RoundPlan:
        """Return the round that begins: the tree's root, or the first step of every chain."""
        return self._round(0, 0, {})

    def take(self, plan: RoundPlan, units: Iterable[MadeUnit]) -> None:
        """Grow by what a round made, its units in their order."""
        for chain, place in self._formatting(plan):
            self._used.add(place)
            self._current[chain] = place
        if self._created.strategy == "tree":
            for _, place in self._formatting(plan):
                # Where the queue ran dry the whole tree is asked again, and nothing waits.
                if self._waiting and self._waiting[0] == place:
                    self._waiting.popleft()
        for unit in units:
            self._num_requests += 1
            self._num_fruitless = 0 if unit.accepted else self._num_fruitless + 1
            request = plan.requests[unit.index]
            for candidate_id, text, target in unit.accepted:
                self._add(Node(candidate_id, request.depth, request.cell, text, target))

    def next(self, census: Census, *, before: RoundPlan) -> RoundPlan | None:
        """Return the next round, or None where there is enough or no hope; see ``stopped``."""
        if sum(settle(self._config, self.targets, census).values()) >= sum(self.targets.values()):
            return None
        if self._num_fruitless >= self._created.max_fruitless:
            self.stopped = (
                f"the last {self._num_fruitless} requests gave nothing that could be kept "
                "(generate.data_creation.max_fruitless)"
            )
            return None
        first_unit = before.first_unit + len(before.requests)
        return self._round(before.number + 1, first_unit, census)

    def _formatting(self, plan: RoundPlan) -> list[tuple[int, int]]:
        return [(request.chain, self._places[request.parent]) for request in plan.requests]

    def _add(self, node: Node) -> None:
        self._places[node.candidate_id] = len(self._nodes)
        self._waiting.append(len(self._nodes))
        self._nodes.append(node)
        self._num_accepted += 1

    def _round(self, number: int, first_unit: int, census: Census) -> RoundPlan:
        lacking: dict[Cell, float] = {
            cell: wanted - census.get(cell, CellCount()).accepted
            for cell, wanted in self.targets.items()
        }
        rate = self._rate()
        missing = sum(max(lack, 0.0) for lack in lacking.values())
        places = self._places_to_ask(number, max(1, math.ceil(_MARGIN * missing / rate)))
        requests = []
        for chain, place in enumerate(places):
            # Each asks for what is lacking most, given what those before it may bring.
            cell = max(sorted(lacking), key=lambda cell: lacking[cell])
            lacking[cell] -= rate
            node = self._nodes[place]
            chain = 0 if self._created.strategy == "tree" else chain
            is_first = node.candidate_id is None
            text, target = ("", "") if is_first else (node.text, node.target)
            requests.append(
                Request(cell, node.candidate_id, node.depth + 1, chain, text=text, target=target)
            )
        return RoundPlan(number, first_unit, requests=tuple(requests))

    def _rate(self) -> float:
        """Return how many accepted examples a request may bring."""
        guess = self._config.generate.num_candidates_per_unit * _PRIOR_REQUESTS
        return (self._num_accepted + guess) / (self._num_requests + _PRIOR_REQUESTS)

    def _places_to_ask(self, number: int, num_needed: int) -> list[int]:
        """Return the nodes that format the round's requests, no more of them than are needed."""
        if self._created.strategy == "tree":
            return self._level(number, min(num_needed, self._created.max_requests_per_round))
        num = min(num_needed, self._created.num_chains)
        if self._created.strategy == "naive" or number == 0:
            return [0] * num
        taken: set[int] = set()
        for chain in range(num):
            taken.add(place := self._step(number, chain, taken))
            self._current[chain] = place
        return self._current[:num]

    def _level(self, number: int, num: int) -> list[int]:
        """Return the nodes that wait, breadth first; where none does, all of them in turn again."""
        if self._waiting:
            return list(self._waiting)[:num]
        # More of them each time, as a round costs more than a few requests.
        again = max(self._created.num_chains, self._num_fruitless)
        again = min(num, again, max(1, self._created.max_fruitless - self._num_fruitless))
        start = number * self._created.num_chains
        return [(start + k) % len(self._nodes) for k in range(again)]

    def _step(self, number: int, chain: int, taken: set[int]) -> int:
        """Return what formats a chain's next request; nothing does twice while others are left."""
        accepted = range(1, len(self._nodes))
        fresh = [p for p in accepted if p not in self._used and p not in taken]
        pool = fresh or [p for p in accepted if p != self._current[chain]] or [0]
        if self._created.strategy == "random":
            rng = unit_rng("data_creation", self._config.seed, number, chain)
            return pool[int(rng.integers(len(pool)))]
        vectors = self._read()
        cosines = vectors[pool] @ vectors[self._current[chain]]
        wanted = cosines.argmin() if self._created.strategy == "diverse" else cosines.argmax()
        return pool[int(wanted)]

    def _read(self) -> Vectors:
        """Return [N, D], the vectors of all nodes; those that are new are read now."""
        num_read = sum(map(len, self._vectors))
        if num_read < len(self._nodes):
            self._vectors.append(self._encode([node.text for node in self._nodes[num_read:]]))
            self._vectors = [np.concatenate(self._vectors)]
        return self._vectors[0]
