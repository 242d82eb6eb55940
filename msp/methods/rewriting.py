"""A seed example's own text made over: what every such method shares.

Strings that labels stand over must outlive it, and no two texts of a unit should be the
same, so a text that lost a value, or that says what was said, is drawn again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from msp.denoise.rules import UnitTexts, has_missing_value, normalise, normalise_value
from msp.methods.base import candidate_stream
from msp.records import Generated, Unit

# A text is taken as it is after this many draws; the filter has the last word.
_MAX_DRAWS = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """One text that is to be made over.

    Args:
        unit_id: for messages.
        text: of the unit's own seed example, in one line.
        values: strings that must stay.
        stream: the random stream of the new text; no other text has it.
    """

    unit_id: int
    text: str
    values: tuple[str, ...]
    stream: int


class Rewriter(Protocol):
    """Makes texts over."""

    def rewrite(self, drafts: Sequence[Draft]) -> list[Generated]:
        """Return a new text for each draft; each follows from its draft alone."""
        ...

    def take_counts(self) -> dict[str, int]:
        """Return counts as :class:`msp.methods.base.Writer` says."""
        ...


class RewritingWriter:
    """Writes a unit's candidates by making its own seed example over.

    Args:
        rewriter: what makes one text over.
    """

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter

    def write(self, units: Sequence[Unit]) -> list[list[Generated]]:
        """Return texts as :class:`msp.methods.base.Writer` says."""
        made: list[dict[int, Generated]] = [{} for _ in units]
        for draw in range(_MAX_DRAWS):
            missing = [
                (row, k)
                for row, unit in enumerate(units)
                for k in range(unit.num_candidates)
                if k not in made[row]
            ]
            drafts = [_draft(units[row], k, draw) for row, k in missing]
            texts = self._rewriter.rewrite(drafts) if drafts else []
            for (row, k), draft, text in zip(missing, drafts, texts, strict=True):
                said = {draft.text, *(earlier.text for earlier in made[row].values())}
                if draw + 1 == _MAX_DRAWS or _is_good(text.text, draft, said):
                    made[row][k] = text
        return [[texts[k] for k in sorted(texts)] for texts in made]

    def take_counts(self) -> dict[str, int]:
        """Return what the rewriter counted since this was last asked."""
        return self._rewriter.take_counts()


def values_of(unit: Unit) -> tuple[str, ...]:
    """Return the strings that a unit's texts must hold."""
    return tuple(text for found in unit.constraint.values.values() for text in found)


def added(*counts: dict[str, int]) -> dict[str, int]:
    """Return the sums of several counts."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _draft(unit: Unit, k: int, draw: int) -> Draft:
    stream = unit.random_seed + k
    if draw:
        stream = candidate_stream("drawn again", stream, draw)
    return Draft(unit.id, " ".join(unit.exemplars[-1].text.split()), values_of(unit), stream)


def _is_good(text: str, draft: Draft, said: set[str]) -> bool:
    values = [normalise_value(value) for value in draft.values]
    is_new = normalise(text) not in {"", *map(normalise, said)}
    return is_new and not has_missing_value(text, UnitTexts((), (), values))
