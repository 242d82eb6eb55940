"""One round's measurement: its score, what a gain between two rounds is worth, and each attribute.

An interval covers the luck of which examples there are and of the trainings'
initial weights. A gain is measured example by example, so two rounds can be
told apart by less than either score is sure to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from msp.improve.outcomes import Outcome
from msp.methods.balance import Cell
from msp.methods.combinations import carried
from msp.records import Example

_NUM_RESAMPLES = 2000
_CHUNK = 100
# Pseudo-counts of the error over all attributes, in labels: with one example of an attribute, its
# own outcome weighs a third.
_PRIOR_COUNTS = 4.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure in points and the 95 % interval that it was measured with."""

    value: float
    low: float
    high: float

    @property
    def can_be_luck(self) -> bool:
        """Whether 0 is inside."""
        return self.low <= 0.0 <= self.high


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits, wrong and missed labels, as the mean over trainings, on so many examples."""

    hits: float = 0.0
    wrong: float = 0.0
    missed: float = 0.0
    num_examples: int = 0

    @property
    def f1(self) -> float:
        """F1 in percent; 0 where there is nothing."""
        size = 2 * self.hits + self.wrong + self.missed
        return 200 * self.hits / size if size else 0.0

    def error(self, overall: float) -> float:
        """Return 1 - F1, drawn towards the error over all attributes by how little was seen."""
        wrong = self.wrong + self.missed + _PRIOR_COUNTS * overall
        return wrong / (2 * self.hits + self.wrong + self.missed + _PRIOR_COUNTS)


@dataclass(frozen=True)
class Measure:
    """What the students of a round got right on dev.

    Args:
        number: of the round; 0 is the seed examples alone.
        num_synthetic: examples that they learned from beside the seeds, at most.
        uids: N examples.
        counts: [S, N, 3], hits, wrong and missed labels of each training and example.
        attributes: label -> its counts.
        combinations: labels that an example carries together -> their counts.
        seconds: that measuring took.
    """

    number: int
    num_synthetic: int
    uids: tuple[str, ...]
    counts: Floats
    attributes: Mapping[str, Counts]
    combinations: Mapping[Cell, Counts]
    seconds: float = 0.0

    @property
    def overall(self) -> Counts:
        """The counts of all labels together."""
        hits, wrong, missed = self.counts.mean(axis=0).sum(axis=0).tolist()
        return Counts(hits, wrong, missed, len(self.uids))

    @property
    def score(self) -> float:
        """Micro-F1 in percent."""
        return self.overall.f1

    @property
    def overall_error(self) -> float:
        """1 - micro-F1; 0 to 1."""
        return 1 - self.score / 100

    def to_json(self) -> bytes:
        """Return the record as it lies in the store."""
        record = {
            "number": self.number,
            "num_synthetic": self.num_synthetic,
            "seconds": round(self.seconds, 3),
            "score": self.score,
            "uids": self.uids,
            "counts": self.counts.astype(int).tolist(),
            "attributes": {name: asdict(counts) for name, counts in self.attributes.items()},
            "combinations": [[list(c), asdict(counts)] for c, counts in self.combinations.items()],
        }
        return json.dumps(record).encode()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Measure:
        """Return the measurement whose record this is."""
        return cls(
            record["number"],
            record["num_synthetic"],
            tuple(record["uids"]),
            np.array(record["counts"], dtype=np.float64),
            {name: Counts(**found) for name, found in record["attributes"].items()},
            {tuple(cell): Counts(**found) for cell, found in record["combinations"]},
            record["seconds"],
        )


def make_measure(
    number: int,
    examples: Sequence[Example],
    trainings: Sequence[Sequence[Outcome]],
    *,
    num_synthetic: int,
    seconds: float,
) -> Measure:
    """Return the measurement that outcomes come to.

    Args:
        number: of the round.
        examples: N that were scored.
        trainings: S of them, each with an outcome for each example.
        num_synthetic: that students learned from.
        seconds: that it took.
    """
    counts = np.array(
        [[_totals([outcome]) for outcome in outcomes] for outcomes in trainings], dtype=np.float64
    )
    by_label: dict[str, list[int]] = {}
    by_cell: dict[Cell, list[int]] = {}
    for row, example in enumerate(examples):
        by_cell.setdefault(tuple(sorted(carried(example))), []).append(row)
        for name in {name for outcomes in trainings for name in outcomes[row]}:
            by_label.setdefault(name, []).append(row)
    return Measure(
        number,
        num_synthetic,
        tuple(example.uid for example in examples),
        counts,
        {name: _counts(trainings, rows, name) for name, rows in sorted(by_label.items())},
        {cell: _counts(trainings, rows, None) for cell, rows in sorted(by_cell.items())},
        seconds,
    )


def _totals(outcomes: Iterable[Outcome], name: str | None = None) -> tuple[int, int, int]:
    sums = [0, 0, 0]
    for outcome in outcomes:
        for label, found in outcome.items():
            if name in (None, label):
                sums = [total + more for total, more in zip(sums, found, strict=True)]
    return sums[0], sums[1], sums[2]


def _counts(
    trainings: Sequence[Sequence[Outcome]], rows: Sequence[int], name: str | None
) -> Counts:
    """Return the counts of a label, or of all, on some examples."""
    hits, wrong, missed = _totals((outcomes[r] for outcomes in trainings for r in rows), name)
    num = len(trainings)
    # What is real is hit or missed, whatever a student says.
    real = [_totals([trainings[0][row]], name) for row in rows]
    num_carriers = sum(hit + miss > 0 for hit, _, miss in real) if name else len(rows)
    return Counts(hits / num, wrong / num, missed / num, num_carriers)


def score_interval(measure: Measure) -> Interval:
    """Return a round's score with its interval."""
    low, high = np.quantile(_resampled(measure.counts), (0.025, 0.975))
    return Interval(measure.score, float(low), float(high))


def gain(before: Measure, after: Measure) -> Interval:
    """Return what one round has over another one, in points of the score.

    Both were measured on the same examples, with trainings of the same initial weights.
    """
    assert before.uids == after.uids, (before.number, after.number)
    differences = _resampled(after.counts) - _resampled(before.counts)
    low, high = np.quantile(differences, (0.025, 0.975))
    return Interval(after.score - before.score, float(low), float(high))


def _resampled(counts: Floats) -> Floats:
    """Return [R] scores of resampled examples and trainings; the same draws for every round."""
    num_trainings, num_examples, _ = counts.shape
    rng = np.random.default_rng(0)
    found = []
    for _ in range(0, _NUM_RESAMPLES, _CHUNK):
        of_examples = rng.multinomial(num_examples, np.full(num_examples, 1 / num_examples), _CHUNK)
        of_trainings = rng.multinomial(
            num_trainings, np.full(num_trainings, 1 / num_trainings), _CHUNK
        )
        totals = np.einsum("rs,rn,snk->rk", of_trainings, of_examples, counts, optimize=True)
        sizes = np.maximum(2 * totals[:, 0] + totals[:, 1] + totals[:, 2], 1)
        found.append(200 * totals[:, 0] / sizes)
    return np.concatenate(found)
