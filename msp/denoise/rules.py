"""The lexical rules: what can be seen to be wrong with a text without any model.

Each rule is one function, and its name in :data:`RULES` is the reason that is
stored with a candidate it drops. They run in that order; the first that fires wins.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from msp.records import Unit

if TYPE_CHECKING:
    from msp.denoise.contamination import EvaluationTexts

_REMEMBERED = 4096
_ASCII_PUNCTUATION = {
    code: " " for code in range(128) if unicodedata.category(chr(code)).startswith("P")
}


@dataclass(frozen=True, slots=True)
class UnitTexts:
    """The texts that a unit's candidates are compared with, all normalised.

    Args:
        exemplars: of the exemplars that were shown, without the unit's own seed example.
        seeds: of every seed example.
        values: the asked slot values, see :func:`normalise_value`; empty where none is required.
        evaluation: of dev and test examples and of further evaluation files.
        rejected: of the texts that reviewers rejected.
        kept_before: of the texts that the runs before this one kept.
        accepted: of the unit's earlier candidates that no lexical rule dropped; it grows.
    """

    exemplars: Collection[str]
    seeds: Container[str]
    values: Sequence[str]
    evaluation: EvaluationTexts | None = None
    rejected: Collection[str] = ()
    kept_before: Collection[str] = ()
    accepted: set[str] = field(default_factory=set)


# Each rule normalises a candidate anew, and exemplars come back in many units.
@lru_cache(maxsize=_REMEMBERED)
def normalise(text: str) -> str:
    """Return a text without what does not make it another text: case, punctuation, spacing, form.

    ``"Check-in,  PLEASE!"`` and ``"check in please"`` become the same, as do full-width
    letters and their plain forms; invisible characters go.
    """
    if text.isascii():  # what most texts are: the same result, ten times as fast
        return " ".join(text.casefold().translate(_ASCII_PUNCTUATION).split())
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return " ".join(
        "".join(" " if unicodedata.category(c)[0] == "P" else c for c in folded).split()
    )


def normalise_value(text: str) -> str:
    """Return a text for the search of slot values: case, spacing and form gone, punctuation not.

    Punctuation stays since it is part of what is asked: ``3.5`` is not ``3 5``.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def is_empty(text: str, texts: UnitTexts) -> bool:
    """Say whether nothing is left beside punctuation and blanks."""
    return not normalise(text)


def is_copy_of_exemplar(text: str, texts: UnitTexts) -> bool:
    """Say whether it repeats an example that was shown for its form."""
    return normalise(text) in texts.exemplars


def is_copy_of_seed(text: str, texts: UnitTexts) -> bool:
    """Say whether it repeats a seed example, the unit's own or any other."""
    return normalise(text) in texts.seeds


def is_contaminated(text: str, texts: UnitTexts) -> bool:
    """Say whether it says what an evaluation text says, or thirteen words of one in a row."""
    return texts.evaluation is not None and texts.evaluation.contaminate(normalise(text))


def is_rejected_by_reviewer(text: str, texts: UnitTexts) -> bool:
    """Say whether a person has rejected a text that says the same (``task.reviewed``)."""
    return normalise(text) in texts.rejected


def is_kept_before(text: str, texts: UnitTexts) -> bool:
    """Say whether a run before this one has kept a text that says the same (``parent``)."""
    return normalise(text) in texts.kept_before


def is_duplicate_in_unit(text: str, texts: UnitTexts) -> bool:
    """Say whether an earlier candidate of the unit says the same and was not dropped so far."""
    return normalise(text) in texts.accepted


def has_missing_value(text: str, texts: UnitTexts) -> bool:
    """Say whether an asked slot value does not occur; ``6 pm`` does not occur in ``16 pm``."""
    haystack = normalise_value(text)
    return not all(_occurs(value, haystack) for value in texts.values)


RULES: Mapping[str, Callable[[str, UnitTexts], bool]] = {
    "empty": is_empty,
    "copy_of_exemplar": is_copy_of_exemplar,
    "copy_of_seed": is_copy_of_seed,
    "contaminated": is_contaminated,
    "rejected_by_reviewer": is_rejected_by_reviewer,
    "kept_before": is_kept_before,
    "duplicate_in_unit": is_duplicate_in_unit,
    "missing_value": has_missing_value,
}


def lexical_reasons(
    unit: Unit,
    texts: Sequence[str],
    *,
    seed_texts: Container[str],
    require_values: bool,
    evaluation: EvaluationTexts | None = None,
    rejected: Collection[str] = (),
    kept_before: Collection[str] = (),
) -> list[str | None]:
    """Return each candidate's reason to be dropped, or None where no lexical rule fires.

    Args:
        unit: what was asked.
        texts: the unit's candidates, by their index in the unit.
        seed_texts: every seed example's text, normalised.
        require_values: whether asked slot values must occur.
        evaluation: what no candidate may hold.
        rejected: texts that reviewers rejected, normalised.
        kept_before: texts that the runs before this one kept, normalised.
    """
    values = [v for found in unit.constraint.values.values() for v in found]
    compared = UnitTexts(
        exemplars={normalise(e.text) for e in unit.exemplars if e.uid != unit.seed_uid},
        seeds=seed_texts,
        values=[normalise_value(v) for v in values] if require_values else [],
        evaluation=evaluation,
        rejected=rejected,
        kept_before=kept_before,
    )
    reasons = []
    for text in texts:
        reason = next((name for name, fires in RULES.items() if fires(text, compared)), None)
        if reason is None:
            compared.accepted.add(normalise(text))
        reasons.append(reason)
    return reasons


def _occurs(value: str, haystack: str) -> bool:
    before = r"(?<!\w)" if re.match(r"\w", value) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", value) else ""
    return re.search(before + re.escape(value) + after, haystack) is not None
