"""The candidates that the report lets one read, as JSON that is safe inside HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msp.metrics.collect import RunSummary
from msp.metrics.sample import SampledCandidate
from msp.records import Example
from msp.report.wording import number, reason_words
from msp.tasks.ontology import Ontology

MAX_TEXT_LENGTH = 2_000


def table_json(summary: RunSummary, seeds: Sequence[Example], ontology: Ontology) -> str:
    """Return the sample as one JSON object for a ``<script type="application/json">``.

    Names, reasons and seed texts are listed once and referred to by position.
    Texts longer than :data:`MAX_TEXT_LENGTH` characters are cut; ``l`` holds their true length.
    """
    words = {attribute.name: attribute.words for attribute in ontology.all}
    seed_texts = {example.uid: example.text for example in seeds}
    names, reasons, shown_seeds = _Numbered(), _Numbered(), _Numbered()
    for attribute in ontology.all:
        if attribute.name in summary.kept_per_attribute:
            names.number(attribute.name)
    rows = [_row(candidate, names, reasons, shown_seeds) for candidate in summary.sample]
    return safe_json(
        {
            "names": [words.get(name, name) for name in names.all],
            "reasons": [reason_words(reason)[0] for reason in reasons.all],
            "seeds": [_cut(seed_texts.get(uid, "")) for uid in shown_seeds.all],
            "rows": rows,
        }
    )


def safe_json(value: Any) -> str:
    """Return JSON that HTML cannot mistake for markup, whatever strings it holds.

    ASCII only, and ``<``, ``>`` and ``&`` are escaped, so that neither
    ``</script>`` nor ``<!--`` nor a line separator stands in it.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Numbered:
    """Gives each string its position in the order of first use."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}

    @property
    def all(self) -> list[str]:
        return list(self._positions)

    def number(self, text: str) -> int:
        return self._positions.setdefault(text, len(self._positions))


def _row(
    candidate: SampledCandidate, names: _Numbered, reasons: _Numbered, seeds: _Numbered
) -> dict[str, Any]:
    values = [
        [names.number(slot), [_cut(text) for text in texts]]
        for slot, texts in candidate.values.items()
    ]
    return {
        "u": candidate.unit_id,
        "t": _cut(candidate.text),
        "l": len(candidate.text),
        "k": int(candidate.kept),
        "r": None if candidate.reason is None else reasons.number(candidate.reason),
        "a": [names.number(name) for name in candidate.attributes],
        "v": values,
        "b": candidate.mix and [names.number(candidate.mix[0]), candidate.mix[1]],
        "g": None if candidate.relabelled is None else names.number(candidate.relabelled),
        "s": seeds.number(candidate.seed_uid),
        "x": _rounded(candidate.noise_score),
        "m": _rounded(candidate.similarity),
    }


def _cut(text: str) -> str:
    return text[:MAX_TEXT_LENGTH]


def _rounded(value: float) -> float | None:
    known = number(value)
    return None if known is None else round(known, 3)
