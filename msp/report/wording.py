"""How figures, reasons and hostile strings are written where a person reads them."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

REASONS: dict[str, tuple[str, str]] = {
    "empty": ("Empty", "The frozen LM wrote nothing."),
    "copy_of_seed": (
        "Copy of a seed example",
        "The text is a seed example, word for word; of questions, or nearly.",
    ),
    "copy_of_exemplar": (
        "Copy of an exemplar",
        "The text repeats an exemplar that was shown to the frozen LM.",
    ),
    "duplicate_in_unit": (
        "Duplicate in its unit",
        "Another candidate for the same constraint has the same text.",
    ),
    "missing_value": (
        "Asked value missing",
        "A slot value that was asked for is not in the text (denoise.require_values).",
    ),
    "unplaced_value": (
        "Value without a place",
        "The asked values are not in the text, or share a word, so they cannot be labelled.",
    ),
    "unanswered": (
        "No answer",
        "The question has no answer in the task's form: a final number, or tests and a program.",
    ),
    "unasked_value": (
        "Value nobody asked for",
        "A word that the seed examples mostly label stands outside the asked values.",
    ),
    "unlikely": (
        "Unlikely",
        "The frozen LM itself found the text improbable (denoise.max_surprise).",
    ),
    "off_topic": (
        "Off topic",
        "Its noise score is above the cut (denoise.max_noise_score).",
    ),
    "not_agreed": (
        "Not agreed",
        "No seed example has these labels together, and classifiers of the seed examples are not "
        "sure enough that the text has them (denoise.novel_agreement).",
    ),
    "spans_not_agreed": (
        "Labels elsewhere",
        "Taggers of the seed examples, shown the text, do not find the labels where the asked "
        "values stand (denoise.span_agreement).",
    ),
    "disagreed": (
        "Another class",
        "The frozen LM says that the text is of another class (denoise.relabel).",
    ),
    "contaminated": (
        "Evaluation text",
        "It says what a dev, test or other evaluation text says, or thirteen words of one.",
    ),
    "no_item": ("No question", "The reply holds no object at all."),
    "not_json": ("Broken object", "An object of the reply is no JSON."),
    "cut_off": ("Cut off", "The reply ends within the object (generate.max_new_tokens)."),
    "wrong_fields": (
        "Wrong fields",
        "Question, options, label or context is missing, or one is there that should not be.",
    ),
    "empty_question": ("Empty question", "There is no word in the question."),
    "wrong_number_of_options": (
        "Wrong number of options",
        "The question has more or fewer options than those of the task.",
    ),
    "repeated_option": ("Repeated option", "An option stands twice."),
    "changed_options": (
        "Changed options",
        "The options are not those that every question of the task has.",
    ),
    "label_not_an_option": ("Label is no option", "The answer is not among the options."),
    "other_label": ("Another answer", "The answer is not the one that was asked for."),
    "reply_too_long": (
        "Beyond the limit",
        "The reply went on after generate.data_creation.max_items_per_reply.",
    ),
    "rejected_by_reviewer": (
        "Rejected by a reviewer",
        "A person has rejected a text that says the same (task.reviewed).",
    ),
    "kept_before": (
        "Kept before",
        "A run before this one has kept a text that says the same (parent).",
    ),
    "duplicate": (
        "Duplicate in the run",
        "An earlier candidate of the run says the same, or nearly (denoise.duplicates).",
    ),
    "surplus": (
        "Surplus",
        "Good enough, but there are enough better ones (generate.num_synthetic).",
    ),
    "over_quota": (
        "Over quota",
        "Good enough, but its unit has enough better ones (denoise.num_kept_per_unit).",
    ),
}

STAGES = {
    "start": "Start Ray and check",
    "tune": "Tune",
    "generate": "Generate and denoise",
    "publish": "Publish the data set",
    "train": "Train the students",
    "evaluate": "Measure the data set",
    "report": "Write the report",
}

MINUS, DASH = "\u2212", "\u2013"

# Controls, and the marks that turn or hide the text beside them; joiners stay, as
# emoji and several scripts need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def reason_words(reason: str) -> tuple[str, str]:
    """Return a title and a sentence for a reason; its own name where it is a new one."""
    return REASONS.get(reason, (reason.replace("_", " ").capitalize(), ""))


def show_invisible(text: object) -> str:
    """Return the text with each control, direction or zero-width mark spelled out: ``[U+202E]``."""
    return _INVISIBLE.sub(lambda mark: f"[U+{ord(mark[0]):04X}]", str(text))


def redact(value: Any) -> Any:
    """Return a copy of nested plain data in which no URI holds a user name or password."""
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return _CREDENTIALS.sub("***@", value) if isinstance(value, str) else value


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else: metrics.json is read as it is found."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    return None


def count(value: object) -> str:
    """Write a count: ``4,512``."""
    known = number(value)
    return DASH if known is None else f"{known:,.0f}"


def decimal(value: object, digits: int = 1) -> str:
    """Write a number with its sign where it is negative: ``0.6``."""
    known = number(value)
    return DASH if known is None else f"{known:,.{digits}f}".replace("-", MINUS)


def signed(value: object) -> str:
    """Write a difference with its sign: ``+3.9``."""
    known = number(value)
    return DASH if known is None else f"{known:+,.1f}".replace("-", MINUS)


def percent(part: float, whole: float) -> str:
    """Write a share: ``30 %``; at both ends a digit more."""
    if not whole:
        return DASH
    share = 100 * part / whole
    # Nearly nothing is not 0 %, and nearly all is not 100 %.
    digits = 0 if share in (0, 100) or 10 <= share <= 99 else 1
    shown = min(max(share, 0.1), 99.9) if 0 < share < 100 else share
    return f"{shown:.{digits}f}\u00a0%"


def duration(seconds: object) -> str:
    """Write a time in the two largest units that matter: ``2 h 05 min``."""
    known = number(seconds)
    if known is None:
        return DASH
    if known < 60:
        return f"{known:.1f}\u00a0s"
    minutes, rest = divmod(round(known), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02d}\u00a0s"
    return f"{minutes // 60:,}\u00a0h {minutes % 60:02d}\u00a0min"
