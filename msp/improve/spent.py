"""What a round took and what came of it: by combination, by attribute and in all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from msp.denoise.final import cells, stream_final
from msp.methods.balance import Cell
from msp.storage.node_hours import read_node_hours
from msp.storage.stage_times import read_stage_seconds
from msp.storage.store import ObjectStore

_STAGES = ("tune", "generate", "publish")


@dataclass(slots=True)
class Made:
    """Candidates: how many, how many of them were kept, and the tokens of all."""

    candidates: int = 0
    kept: int = 0
    tokens: int = 0

    def add(self, other: Made) -> None:
        """Count others, too."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))


@dataclass(frozen=True)
class Spent:
    """One round's cost and yield.

    Args:
        number: of the round.
        cells: combination that was asked for -> what was made of it.
        reasons: why candidates were dropped -> how many.
        seconds: that its run worked.
        dollars: that its nodes cost; None where no price is set.
    """

    number: int
    cells: Mapping[Cell, Made]
    reasons: Mapping[str, int]
    seconds: float
    dollars: float | None = None

    @property
    def total(self) -> Made:
        """All of it."""
        return _sum(self.cells.values())

    @property
    def attributes(self) -> dict[str, Made]:
        """Attribute -> what was made that was to carry it; two in one text count for both."""
        found: dict[str, Made] = {}
        for cell, made in self.cells.items():
            for name in cell:
                found.setdefault(name, Made()).add(made)
        return found

    def to_json(self) -> bytes:
        """Return the record as it lies in the store."""
        record = {
            **asdict(self.total),
            "number": self.number,
            "seconds": round(self.seconds, 3),
            "dollars": self.dollars,
            "reasons": dict(self.reasons),
            "cells": [[list(cell), asdict(made)] for cell, made in sorted(self.cells.items())],
        }
        return json.dumps(record).encode()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Spent:
        """Return what a record says."""
        made = {tuple(cell): Made(**found) for cell, found in record["cells"]}
        return cls(record["number"], made, record["reasons"], record["seconds"], record["dollars"])


def read_spent(store: ObjectStore, number: int) -> Spent:
    """Return what a finished round took, counted from its run's store."""
    made: dict[Cell, Made] = {}
    reasons: Counter[str] = Counter()
    for table in stream_final(store):
        for cell, unit in zip(cells(table), table["candidates"].to_pylist(), strict=True):
            kept = sum(candidate["kept"] for candidate in unit)
            tokens = sum(candidate["num_tokens"] for candidate in unit)
            made.setdefault(cell, Made()).add(Made(len(unit), kept, tokens))
            reasons.update(c["reason"] for c in unit if not c["kept"])
    times = read_stage_seconds(store)
    return Spent(
        number,
        made,
        dict(reasons.most_common()),
        sum(times.get(stage, 0.0) for stage in _STAGES),
        read_node_hours(store).get("dollars"),
    )


def _sum(parts: Iterable[Made]) -> Made:
    total = Made()
    for part in parts:
        total.add(part)
    return total
