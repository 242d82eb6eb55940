"""Round after round until exactly N: what is asked of each combination, made, and still missing.

A round's plan is a small record in the store. It follows from the config, the
seed examples and what the earlier rounds committed, and it is written once, so
every process that joins or resumes the round reads the same one.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from msp.config import RunConfig
from msp.methods.balance import Cell, attribute_sums

# From this many candidates on, a combination that drops more than denoise.max_drop_rate of them
# is given up: its share goes to others.
_FEW_CANDIDATES = 100
# The measured rate of a combination is weighed with this many units at the run's mean rate,
# and a little more is made than the rate asks for: a round costs more than a few units.
_PRIOR_UNITS = 2.0
_MARGIN = 1.15
_MAX_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Request:
    """One unit of a set that grows: what it asks for, and what it is formatted by.

    Args:
        cell: what is asked for.
        parent: the accepted candidate that formats it; None for the run's first example.
        depth: of what it makes.
        chain: that it is a step of.
        text: the parent's; empty for the first example, which every process knows.
        target: likewise.
    """

    cell: Cell
    parent: int | None
    depth: int
    chain: int
    text: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """One round's work.

    Args:
        number: 0 for the first round.
        first_unit: the id of its first unit; ids go on from round to round.
        units: combination -> units that ask for it; None where the method plans one pass itself.
        requests: instead of these, unit by unit, of a method that grows.
    """

    number: int
    first_unit: int
    units: Mapping[Cell, int] | None = None
    requests: tuple[Request, ...] = ()

    @property
    def num_units(self) -> int:
        """How many units the record names."""
        return len(self.requests) or sum((self.units or {}).values())

    def to_json(self) -> bytes:
        """Return the record as it lies in the store."""
        cells = [[list(cell), n] for cell, n in (self.units or {}).items()]
        record: dict[str, Any] = {"number": self.number, "first_unit": self.first_unit}
        record |= {"units": cells}
        if self.requests:
            record["requests"] = [asdict(request) for request in self.requests]
        return json.dumps(record, indent=0).encode()

    @classmethod
    def from_json(cls, text: bytes) -> RoundPlan:
        """Return the round whose record this is."""
        record = json.loads(text)
        units = {tuple(cell): n for cell, n in record["units"]}
        requests = (Request(**{**r, "cell": tuple(r["cell"])}) for r in record.get("requests", ()))
        return cls(record["number"], record["first_unit"], units, tuple(requests))


@dataclass(slots=True)
class CellCount:
    """What has come of one combination so far.

    Args:
        units: that asked for it.
        candidates: of these units.
        accepted: kept, and no duplicate of an earlier one.
        reasons: why the others were dropped.
    """

    units: int = 0
    candidates: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: CellCount) -> None:
        """Count another part of the same combination, too."""
        self.units += other.units
        self.candidates += other.candidates
        self.accepted += other.accepted
        self.reasons.update(other.reasons)

    def is_given_up(self, max_drop_rate: float) -> bool:
        """Say whether so much of it is dropped that asking again would cost too much."""
        most = (1 - max_drop_rate) * self.candidates
        return self.candidates >= _FEW_CANDIDATES and self.accepted <= most


Census = Mapping[Cell, CellCount]


@dataclass(frozen=True, slots=True)
class MadeUnit:
    """What came of one unit: its place in its round, and what was accepted of it.

    Args:
        index: of the unit in its round.
        accepted: candidate id, text and target of each.
    """

    index: int
    accepted: tuple[tuple[int, str, str], ...]


class Rounds(Protocol):
    """Who plans the rounds of a run; each follows from config, seeds and what is committed.

    ``targets`` is what the run asks for -> how many of it, and ``stopped`` why the rounds ended
    before there was enough, where the method itself saw no hope.
    """

    targets: dict[Cell, int]
    stopped: str | None

    def first(self) -> RoundPlan:
        """Return the round that begins."""
        ...

    def take(self, plan: RoundPlan, made: Iterable[MadeUnit]) -> None:
        """Hear what came of a round, its units in their order; read only where it matters."""
        ...

    def next(self, census: Census, *, before: RoundPlan) -> RoundPlan | None:
        """Return the round after ``before``; None where there is enough, or no more can be had."""
        ...


class QuotaRounds:
    """Rounds that ask for what each combination still lacks, whatever the texts say.

    Args:
        config: the run's.
        targets: combination -> how many.
    """

    def __init__(self, config: RunConfig, targets: Mapping[Cell, int]) -> None:
        self.targets = dict(targets)
        self.stopped: str | None = None
        self._config = config

    def first(self) -> RoundPlan:
        """See :class:`Rounds`."""
        return first_round(self._config, self.targets)

    def take(self, plan: RoundPlan, made: Iterable[MadeUnit]) -> None:
        """See :class:`Rounds`; counts are all that matters here."""

    def next(self, census: Census, *, before: RoundPlan) -> RoundPlan | None:
        """See :class:`Rounds`."""
        return next_round(self._config, self.targets, census, before=before)


def first_round(config: RunConfig, targets: Mapping[Cell, int]) -> RoundPlan:
    """Return the round that would suffice if no unit's quota were missed; never too much."""
    per_unit = config.denoise.num_kept_per_unit
    units = {cell: -(-n // per_unit) for cell, n in targets.items() if n}
    return RoundPlan(0, config.generate.first_unit, units)


def next_round(
    config: RunConfig, targets: Mapping[Cell, int], census: Census, *, before: RoundPlan
) -> RoundPlan | None:
    """Return the round for what is short, sized by the measured rates; None where nothing is.

    Args:
        config: ``generate.num_synthetic``, ``balance_over`` and the units' quota.
        targets: what was asked of each combination at first.
        census: what all rounds so far gave.
        before: the round that was done last.
    """
    if sum(settle(config, targets, census).values()) >= sum(targets.values()):
        return None
    given_up = {
        cell: count.accepted
        for cell, count in census.items()
        if count.is_given_up(config.denoise.max_drop_rate)
    }
    aims = _settled(config, targets, given_up)
    made, accepted = 0, 0
    for count in census.values():
        made, accepted = made + count.units, accepted + count.accepted
    mean_rate = accepted / made if made else config.denoise.num_kept_per_unit
    units = {}
    for cell, aim in aims.items():
        count = census.get(cell, CellCount())
        missing = aim - count.accepted
        if missing > 0 and cell not in given_up:
            units[cell] = _num_units(config, missing, aim, count=count, mean_rate=mean_rate)
    if not units:
        return None
    return RoundPlan(before.number + 1, before.first_unit + before.num_units, units)


def settle(config: RunConfig, targets: Mapping[Cell, int], census: Census) -> dict[Cell, int]:
    """Return how many of each combination's accepted candidates make up the finished set."""
    accepted = {cell: census[cell].accepted if cell in census else 0 for cell in targets}
    more = {cell: count.accepted for cell, count in census.items() if cell not in targets}
    return _settled(config, targets, {**more, **accepted})


def _num_units(
    config: RunConfig, missing: int, aim: int, *, count: CellCount, mean_rate: float
) -> int:
    rate = (count.accepted + _PRIOR_UNITS * mean_rate) / (count.units + _PRIOR_UNITS)
    most = _MAX_GROWTH * (count.units + -(-aim // config.denoise.num_kept_per_unit))
    if rate <= 0:
        return most
    return min(most, math.ceil(_MARGIN * missing / rate))


def _settled(
    config: RunConfig, targets: Mapping[Cell, int], caps: Mapping[Cell, int]
) -> dict[Cell, int]:
    """Return the targets, with what a cap takes from one cell given to others where that may be.

    With a balance over combinations it may not: each has its own number. Over
    attributes another combination may stand in that carries what is short.
    """
    numbers = {cell: min(n, caps.get(cell, n)) for cell, n in targets.items()}
    if config.generate.balance_over == "combinations":
        return numbers
    lacking = Counter(attribute_sums(targets))
    lacking.subtract(attribute_sums(numbers))
    left = sum(targets.values()) - sum(numbers.values())
    for strict in (True, False):
        left = _fill(numbers, caps, lacking, left=left, strict=strict)
    return numbers


def _fill(
    numbers: dict[Cell, int],
    caps: Mapping[Cell, int],
    lacking: Counter[str],
    *,
    left: int,
    strict: bool,
) -> int:
    """Raise cells that carry what is lacking, the best match first; return what is still left.

    Strict: only cells all of whose attributes are lacking, so none overshoots.
    """
    cells = sorted({*numbers, *caps})
    while left:
        best = max(
            (cell for cell in cells if caps.get(cell, math.inf) > numbers.get(cell, 0)),
            key=lambda cell: (_match(cell, lacking, strict=strict), cell),
            default=(),
        )
        if _match(best, lacking, strict=strict) <= 0:
            return left
        room = caps.get(best, math.inf) - numbers.get(best, 0)
        step = int(min(left, room, min(lacking[name] for name in best if lacking[name] > 0)))
        numbers[best] = numbers.get(best, 0) + step
        left -= step
        for name in best:
            lacking[name] -= step
    return left


def _match(cell: Cell, lacking: Counter[str], *, strict: bool) -> float:
    short = [name for name in cell if lacking[name] > 0]
    if not short or (strict and len(short) < len(cell)):
        return 0.0
    return len(short) / len(cell) + len(short) / 1000
