"""The question that a run answers: is the student better with the synthetic examples?

Or, where nothing is generated: does the LM itself answer better than that student?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot
from typing import Any

from msp.report.wording import number, signed

TITLES = {
    "micro_f1": "Micro-F1",
    "macro_f1": "Macro-F1",
    "exact_match": "Exact match",
    "accuracy": "Accuracy",
    "entity_f1": "Entity F1",
    "entity_macro_f1": "Entity macro-F1",
    "intent_accuracy": "Intent accuracy",
    "slot_f1": "Slot F1",
    "final_answer_match": "Final-answer match",
    "pass_at_1": "pass@1",
}
# Students that part of what augmented learned has taught: beside the seed examples, what labels
# say of themselves; the synthetic examples without that; and, of runs that relabel, these as they
# were asked for.
LABEL_TEXTS = "With label texts"
SYNTHETIC = "With synthetic"
BETWEEN = {
    "label_texts": LABEL_TEXTS,
    "synthetic": SYNTHETIC,
    "before_relabel": "Before relabelling",
}
# Of runs whose figures do not say what they are judged by.
DEFAULT_HEADLINE = ("micro_f1", "macro_f1", "exact_match")


@dataclass(frozen=True, slots=True)
class Score:
    """A metric of one student over its trainings, in percent; None where it was not measured."""

    mean: float | None
    std: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric (or one attribute's F1) of both students.

    Args:
        title: what is compared.
        seed_only: trained on seed examples.
        augmented: trained on seed and synthetic examples, or the LM that answers itself.
        between: title -> score of the run's further students: see ``BETWEEN``.
    """

    title: str
    seed_only: Score
    augmented: Score
    between: Mapping[str, Score] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """Augmented less seed only, in points."""
        if self.seed_only.mean is None or self.augmented.mean is None:
            return None
        return self.augmented.mean - self.seed_only.mean

    @property
    def spread(self) -> float | None:
        """Standard deviation of the gain between trainings, taken as independent."""
        if self.seed_only.std is None or self.augmented.std is None:
            return None
        return hypot(self.seed_only.std, self.augmented.std)

    @property
    def tone(self) -> str:
        """Better, worse, same (within the spread between trainings) or unknown."""
        if self.gain is None:
            return "unknown"
        if self.gain == 0 or (self.spread is not None and abs(self.gain) < self.spread):
            return "same"
        return "better" if self.gain > 0 else "worse"


def compare_headline(student: Any) -> list[Comparison]:
    """Return the headline metrics that either student has."""
    rows = [_compared(student, name) for name in headline(student)]
    return [row for row in rows if (row.seed_only.mean, row.augmented.mean) != (None, None)]


def rival(student: Any) -> str:
    """Return what is held against the student of the seed examples: ``augmented`` or ``direct``."""
    return "direct" if _arm(student, "direct") else "augmented"


def headline(student: Any) -> Sequence[str]:
    """Return the names of the metrics that the task is judged by, the first above all."""
    names = student.get("headline") if isinstance(student, Mapping) else None
    return names if isinstance(names, list) else DEFAULT_HEADLINE


def title(name: str) -> str:
    """Return a metric's name as a person writes it."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def growth(student: Any) -> list[tuple[int, Score]]:
    """Return the first headline metric by the number of synthetic examples, from none to all.

    Empty where ``student.sizes`` asked for no number between.
    """
    sizes = student.get("sizes") if isinstance(student, Mapping) else None
    if not isinstance(sizes, list) or not sizes:
        return []
    name = headline(student)[0]
    whole = number(_arm(student, "augmented").get("num_synthetic"))
    return [
        (0, _score(student, "seed_only", name)),
        *(
            (row["num_synthetic"], Score(number(found.get("mean")), number(found.get("std"))))
            for row in sizes
            if isinstance(row, Mapping) and isinstance(found := row.get(name), Mapping)
        ),
        (int(whole or 0), _score(student, "augmented", name)),
    ]


def compare_others(student: Any) -> list[Comparison]:
    """Return the metrics beside the headline, by name."""
    names = {
        name
        for arm in ("seed_only", rival(student))
        for name, value in _arm(student, arm).items()
        if name not in headline(student) and isinstance(value, Mapping) and "mean" in value
    }
    return [_compared(student, name) for name in sorted(names)]


def _compared(student: Any, name: str) -> Comparison:
    """Return a metric of every arm that has it."""
    seed_only, augmented = (_score(student, arm, name) for arm in ("seed_only", rival(student)))
    further = {words: _score(student, arm, name) for arm, words in BETWEEN.items()}
    measured = {words: score for words, score in further.items() if score.mean is not None}
    return Comparison(title(name), seed_only, augmented, measured)


def compare_attributes(student: Any) -> list[tuple[str, Comparison]]:
    """Return (attribute, its F1 in both students), the largest gain first."""
    before = _arm(student, "seed_only").get("per_attribute")
    after = _arm(student, rival(student)).get("per_attribute")
    before, after = (part if isinstance(part, Mapping) else {} for part in (before, after))
    rows = [
        (name, Comparison(name, Score(number(before.get(name)), None), _plain(after.get(name))))
        for name in {**before, **after}
    ]
    return sorted(
        rows, key=lambda row: (-(row[1].gain if row[1].gain is not None else -1e9), row[0])
    )


def verdict(student: Any) -> tuple[str, str]:
    """Return better, worse, same or unknown, and an honest sentence for the top of the page."""
    rows = compare_headline(student)
    if not rows:
        return "unknown", "No student has been trained yet, so there are no scores to compare."
    first = rows[0]
    name = first.title.lower().replace("f1", "F1")
    if first.gain is None:
        missing = rival(student) if first.augmented.mean is None else "seed-only"
        return "unknown", f"The {missing} student has not been scored yet; the other one has."
    return first.tone, _sentence(first, name, rival(student)) + _of_which(first)


def _sentence(first: Comparison, name: str, arm: str) -> str:
    assert first.gain is not None
    gain, spread = first.gain, first.spread or 0.0
    if first.tone == "same":
        return (
            f"No clear difference: {signed(gain)} points of {name} is within the spread between "
            f"trainings (\u00b1\u00a0{spread:.1f})."
        )
    if arm == "direct":
        than = "above" if gain > 0 else "below"
        return (
            f"The LM that answers the task itself is {abs(gain):.1f} points of {name} {than} the "
            "student of the seed examples."
        )
    and_words = " and the labels' own words" if LABEL_TEXTS in first.between else ""
    opening = f"With the synthetic examples{and_words} the student"
    if gain > 0:
        return f"{opening} gains {gain:.1f} points of {name}."
    return f"{opening} loses {-gain:.1f} points of {name}: here they did harm."


def _of_which(first: Comparison) -> str:
    """Return what each part of what augmented learned gives without the other."""
    seed_only = first.seed_only.mean
    words, texts = (first.between.get(part) for part in (LABEL_TEXTS, SYNTHETIC))
    if seed_only is None or words is None or texts is None:
        return ""
    gains = [signed((part.mean or 0.0) - seed_only) for part in (texts, words)]
    return (
        f" Synthetic examples alone give {gains[0]}, the labels' own words and descriptions "
        f"alone {gains[1]}."
    )


def _arm(student: Any, name: str) -> Mapping[str, Any]:
    arm = student.get(name) if isinstance(student, Mapping) else None
    return arm if isinstance(arm, Mapping) else {}


def _score(student: Any, arm: str, metric: str) -> Score:
    value = _arm(student, arm).get(metric)
    if isinstance(value, Mapping):
        return Score(number(value.get("mean")), number(value.get("std")))
    return _plain(value)


def _plain(value: object) -> Score:
    return Score(number(value), None)
