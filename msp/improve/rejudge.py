"""A finished run's candidates under other settings of the filter: nothing is generated anew.

Noise scores are stored with every candidate, so another cut or quota is a choice
among them. What another rule has dropped (a copy, a duplicate) stays dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from msp.config import RunConfig
from msp.denoise.final import stream_final
from msp.denoise.keep import OFF_TOPIC, OVER_QUOTA, keep_reasons
from msp.denoise.rules import normalise
from msp.improve.crossfit import Kept
from msp.records import Example
from msp.storage.store import ObjectStore

_OPEN = (None, OFF_TOPIC, OVER_QUOTA)


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that can be chosen after generation."""

    max_noise_score: float
    num_kept_per_unit: int
    synthetic_weight: float

    @classmethod
    def of(cls, config: RunConfig) -> Choice:
        """Return what a run has."""
        denoise = config.denoise
        return cls(
            denoise.max_noise_score, denoise.num_kept_per_unit, config.student.synthetic_weight
        )

    def overrides(self) -> list[str]:
        """Return the same as ``--set`` takes it."""
        return [
            f"denoise.max_noise_score={self.max_noise_score:.3g}",
            f"denoise.num_kept_per_unit={self.num_kept_per_unit}",
            f"student.synthetic_weight={self.synthetic_weight:.3g}",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class JudgedUnit:
    """A unit's candidates that the filter's cut and quota decide on: examples by noise score."""

    unit_id: int
    examples: tuple[Example, ...]
    noise_scores: tuple[float, ...]


def judged_units(store: ObjectStore) -> Iterator[JudgedUnit]:
    """Yield every unit of a finished run that has a candidate to decide on, in order."""
    for table in stream_final(store):
        for unit in table.to_pylist():
            open_ones = [
                one
                for one in unit["candidates"]
                if one["reason"] in _OPEN and not isnan(one["noise_score"])
            ]
            if open_ones:
                yield JudgedUnit(
                    unit["id"],
                    tuple(_example(unit, one) for one in open_ones),
                    tuple(one["noise_score"] for one in open_ones),
                )


def kept_under(
    choice: Choice, config: RunConfig, units: Sequence[JudgedUnit], views: dict[int, frozenset[str]]
) -> list[Kept]:
    """Return what the filter would have kept, each text once.

    Args:
        choice: the settings.
        config: the run's.
        units: of the run.
        views: unit -> uids in view.
    """
    denoise = config.denoise.model_copy(
        update={
            "max_noise_score": choice.max_noise_score,
            "num_kept_per_unit": choice.num_kept_per_unit,
        }
    )
    kept: dict[str, Kept] = {}
    for unit in units:
        reasons = keep_reasons(dict(enumerate(unit.noise_scores)), denoise)
        for place, reason in reasons.items():
            example = unit.examples[place]
            if reason is None:
                kept.setdefault(normalise(example.text), Kept(example, views[unit.unit_id]))
    return list(kept.values())


def _example(unit: dict[str, Any], candidate: dict[str, Any]) -> Example:
    return Example(
        uid=f"synthetic-{candidate['candidate_id']}",
        text=candidate["text"],
        attributes=tuple(unit["attributes"]),
        values={slot: tuple(texts) for slot, texts in unit["values"]},
        domain=unit["domain"],
        target=candidate["target"],
    )
