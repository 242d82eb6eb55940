"""The figures behind the loop's page: each round, each attribute's curve, each combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msp.improve.measure import Counts, Interval, Measure, gain, score_interval
from msp.improve.plan import PlannedRound
from msp.improve.spent import Made, Spent

# Of a plot's width, kept free on each side; of its height in pixels likewise.
_MARGIN = 4.0
_HEIGHT, _TOP = 40.0, 5.0


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round: what it took, what came of it, and what it gained.

    Args:
        number: of the round; 0 is the seed examples alone.
        score: dev F1.
        gain: over the round before; None for round 0.
        made: candidates, kept ones and tokens; None for round 0.
        seconds: of its run and of measuring it.
        dollars: that its run cost; None where no price is known.
        num_synthetic: that its students learned from, at most, from all rounds so far.
        reasons: why candidates were dropped -> how many.
    """

    number: int
    score: Interval
    gain: Interval | None
    made: Made | None
    seconds: float
    dollars: float | None
    num_synthetic: int
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One attribute over the rounds.

    Args:
        name: of the attribute.
        num_dev: examples that it was measured on; 0 where nothing can be measured of it.
        num_real: seed examples that carry it.
        f1: by round, that of the seed examples alone first.
        shares: of each round, the weight that the policy gave it, among all.
        made: by round, what was asked to carry it and what was kept.
    """

    name: str
    num_dev: int
    num_real: int
    f1: tuple[float, ...]
    shares: tuple[float, ...]
    made: tuple[Made, ...]

    @property
    def candidates(self) -> int:
        """Asked to carry it, over all rounds."""
        return sum(made.candidates for made in self.made)

    @property
    def kept(self) -> int:
        """Kept of these."""
        return sum(made.kept for made in self.made)

    @property
    def change(self) -> float:
        """Points of F1 since the seed examples alone."""
        return self.f1[-1] - self.f1[0]


@dataclass(frozen=True, slots=True)
class CombinationRow:
    """Labels that dev examples carry together: F1 on these examples, by round."""

    labels: tuple[str, ...]
    num_dev: int
    f1: tuple[float, ...]


def round_rows(measures: Sequence[Measure], spent: Sequence[Spent]) -> list[RoundRow]:
    """Return a row for every round that is done."""
    rows = []
    for place, measure in enumerate(measures):
        cost = spent[place - 1] if place else None
        rows.append(
            RoundRow(
                measure.number,
                score_interval(measure),
                gain(measures[place - 1], measure) if place else None,
                cost.total if cost else None,
                measure.seconds + (cost.seconds if cost else 0.0),
                cost.dollars if cost else None,
                measure.num_synthetic,
                dict(cost.reasons) if cost else {},
            )
        )
    return rows


def attribute_rows(
    measures: Sequence[Measure], plans: Sequence[PlannedRound], spent: Sequence[Spent]
) -> list[AttributeRow]:
    """Return a row for every attribute that was measured or asked for, most spent on first."""
    by_round = [of.attributes for of in spent]
    done = plans[: len(spent)]
    standings = plans[0].standings if plans else {}
    rows = []
    for name in sorted({*standings, *measures[0].attributes}):
        rows.append(
            AttributeRow(
                name,
                measures[0].attributes.get(name, Counts()).num_examples,
                standings[name].num_real if name in standings else 0,
                tuple(m.attributes.get(name, Counts()).f1 for m in measures),
                tuple(plan.shares.get(name, 0.0) for plan in done),
                tuple(found.get(name, Made()) for found in by_round),
            )
        )
    return sorted(rows, key=lambda row: (-row.candidates, row.f1[0], row.name))


def combination_rows(measures: Sequence[Measure]) -> list[CombinationRow]:
    """Return a row for every combination of dev examples, the worst at the end first."""
    rows = [
        CombinationRow(cell, counts.num_examples, tuple(m.combinations[cell].f1 for m in measures))
        for cell, counts in measures[0].combinations.items()
    ]
    return sorted(rows, key=lambda row: (row.f1[-1], row.labels))


def x_place(place: int, num: int) -> float:
    """Return where a round stands in a plot, in percent of its width."""
    return 50.0 if num < 2 else _MARGIN + (100 - 2 * _MARGIN) * place / (num - 1)


def y_place(value: float, low: float, high: float, height: float = _HEIGHT) -> float:
    """Return where a value stands in a plot, in pixels from its top."""
    share = (value - low) / ((high - low) or 1.0)
    return _TOP + (height - 2 * _TOP) * (1 - share)
