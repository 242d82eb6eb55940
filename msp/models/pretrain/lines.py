"""One utterance made ready for a task-shaped document: its values, its style, what is listed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from msp.models.pretrain.corpus import Utterance
from msp.models.pretrain.style import user_style
from msp.models.pretrain.values import (
    ValuePools,
    content_span,
    content_words,
    kind_of,
    occurrence,
    substitute,
)

_SUBSTITUTED = 0.5
_LISTED = 0.87
_SPAN_AS_VALUE = 0.25
_USER_STYLE = 0.3
_CUES = (
    "how much, how many, how long, how far, how, what time, what, when, where, which, who, why, "
    "can, thank, sorry, yes, no, hello, hi, bye, not, more, less, new, cancel, change"
).split(", ")


@dataclass(frozen=True, slots=True)
class Line:
    """What one numbered line shows: every one of `values` occurs in `text`."""

    attributes: tuple[str, ...]
    values: tuple[str, ...]
    text: str


def make_line(
    utterance: Utterance, pools: ValuePools, rng: random.Random, shared: str | None = None
) -> Line:
    """The utterance as a line; with `shared`, one of its values gives way to that one.

    Only listed values are ever replaced: what nobody asked for stays natural,
    so that the model does not learn to make up names.
    """
    text = utterance.text
    values = list(dict.fromkeys(v for v in (occurrence(v, text) for v in utterance.values) if v))
    if values:
        listed = [value for value in values if rng.random() < _LISTED]
        text, values = _replace_values(
            utterance, listed or (values[:1] if shared else []), pools, rng, shared
        )
    elif rng.random() < _SPAN_AS_VALUE:
        span = content_span(text, rng)
        values = [span] if span else []
    if rng.random() < _USER_STYLE:
        text, values = user_style(text, values, rng)
    rng.shuffle(values)
    attributes = list(utterance.attributes)
    rng.shuffle(attributes)
    seen = (v for v in (occurrence(v, text) for v in values) if v)
    return Line(tuple(attributes), tuple(dict.fromkeys(seen)), text)


def keyword_attributes(text: str, rng: random.Random) -> tuple[str, ...]:
    """Attributes for a text that nobody annotated: its question word and words of its topic.

    A task's attribute names mostly share words with the texts that carry them,
    so a model that has seen this follows names it never trained on.
    """
    lowered = text.lower()
    cue = next((cue for cue in _CUES if re.search(rf"\b{cue}", lowered)), None)
    words = content_words(text)
    picked = rng.sample(words, min(len(words), rng.choice((1, 1, 2, 2, 3))))
    named = dict.fromkeys(([cue] if cue and rng.random() < 0.7 else []) + picked)
    return tuple(named) or ("statement",)


def _replace_values(
    utterance: Utterance,
    values: list[str],
    pools: ValuePools,
    rng: random.Random,
    shared: str | None,
) -> tuple[str, list[str]]:
    replacements = [
        (value, pools.draw(value, utterance, rng) if rng.random() < _SUBSTITUTED else value)
        for value in values
    ]
    if shared is not None and values:
        same = [i for i, value in enumerate(values) if kind_of(value) == kind_of(shared)]
        at = rng.choice(same or range(len(values)))
        replacements[at] = (values[at], shared)
    text = substitute(utterance.text, replacements)
    return text, list(dict.fromkeys(new for _, new in replacements))
