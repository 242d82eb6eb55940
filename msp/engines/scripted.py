"""An engine without a model: fast, the same everywhere, and now and then wrong on purpose.

It lets plans, denoise rules, stores and clusters be tried at any size in
seconds. Known shares of its texts break each denoise rule, so that every
reason to drop a candidate occurs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.records import Generated

OPENERS = (
    "hi", "hello", "excuse me", "sorry", "okay", "so", "well", "hey there", "good morning",
    "good evening", "quick question", "one more thing", "by the way", "please", "right",
    "listen", "actually", "also", "now", "just checking",
)  # fmt: skip
CLOSERS = (
    "please", "thanks", "thank you", "if you can", "when you have a moment", "right away",
    "as soon as possible", "for me", "if possible", "and let me know", "would you", "cheers",
    "many thanks", "if that works", "today if you can", "once more", "for my family",
    "for the two of us", "before we leave", "and that is all",
)  # fmt: skip
STRAY_TOPICS = (
    "granite weathers slowly", "the orchestra tuned twice", "seven herons crossed the marsh",
    "basalt cools into columns", "the referee lost his whistle", "moss grew over the anvil",
)  # fmt: skip

LOGPROB_PER_TOKEN = -2.0

_LAST_LINE = re.compile(r"\d+\)\s*(?P<names>.*?)\s*(?:\[(?P<values>.*)\])?(?P<colon>:?)\s*")
_WORD_BITS = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine reads from a context.

    Args:
        subject: what a good text says: the last exemplar, or the attributes' words.
        values: the slot values that the open line asks for.
        shown: the exemplars' texts.
    """

    subject: str
    values: tuple[str, ...]
    shown: tuple[str, ...]


class ScriptedEngine:
    """Composes texts from a context's own words; a text depends on unit and stream alone."""

    def generate(
        self, requests: Sequence[Request], sampling: GenerateConfig
    ) -> list[list[Generated]]:
        """Return texts as :class:`msp.engines.base.Engine` says; a word counts as a token.

        Of 100 texts about 4 are empty, 4 repeat the text before them, 4 are off topic, 4 leave
        out a value, 3 copy the last exemplar and 2 the first.
        """
        return [_unit_texts(request, sampling.max_new_tokens) for request in requests]

    def take_counts(self) -> dict[str, int]:
        """Return nothing: there is no prompt to compute."""
        return {}


def _unit_texts(request: Request, max_words: int) -> list[Generated]:
    prompt = read_context(request.context)
    start = _mix(request.unit_id)
    texts = []
    for k in range(request.num_candidates):
        stream = request.random_seed + k
        kind = KINDS[_mix(start ^ _mix(stream)) % len(KINDS)]
        words = kind(prompt, start, stream).split()[:max_words]
        texts.append(Generated(" ".join(words), len(words), LOGPROB_PER_TOKEN * len(words)))
    return texts


def read_context(context: str) -> Prompt:
    """Return what a context asks for; any text is accepted, an empty one asks for nothing.

    The form is that of :func:`msp.prompts.text.render_context`.
    """
    *before, last = context.rstrip().split("\n")
    found = _LAST_LINE.fullmatch(last)
    if not found:
        return Prompt(last.strip(), (), ())
    named = bool(found["colon"])
    shown = tuple(_shown_text(line, named) for line in before if re.match(r"\d+\)", line))
    values = tuple(value for value in (found["values"] or "").split("; ") if value)
    return Prompt(shown[-1] if shown else found["names"].replace(";", ""), values, shown)


def _shown_text(line: str, named: bool) -> str:
    """Return the utterance of a finished line ``n) names [values]: text``, names perhaps absent."""
    _, _, rest = line.partition(") ")
    if named:
        bracketed = "]: " in rest
        return rest.partition("]: " if bracketed else ": ")[2]
    return rest.partition("] ")[2] if rest.startswith("[") else rest


def _good(prompt: Prompt, start: int, stream: int) -> str:
    draw = _mix(start + stream)
    opener, closer = OPENERS[draw % len(OPENERS)], CLOSERS[(draw >> 16) % len(CLOSERS)]
    return f"{opener} {prompt.subject} {closer}{_missing(prompt.subject, prompt.values)}"


def _empty(prompt: Prompt, start: int, stream: int) -> str:
    return ""


def _repeat(prompt: Prompt, start: int, stream: int) -> str:
    return _good(prompt, start, stream - 1)


def _stray(prompt: Prompt, start: int, stream: int) -> str:
    draw = _mix(start + stream)
    topic = STRAY_TOPICS[draw % len(STRAY_TOPICS)]
    return f"{topic} {draw % 1009}{_missing(topic, prompt.values)}"


def _without_values(prompt: Prompt, start: int, stream: int) -> str:
    if not prompt.values:
        return _stray(prompt, start, stream)
    subject = prompt.subject
    for value in prompt.values:
        subject = re.sub(re.escape(value), "it", subject, flags=re.IGNORECASE)
    return _good(Prompt(subject, (), ()), start, stream)


def _last_shown(prompt: Prompt, start: int, stream: int) -> str:
    return prompt.shown[-1] if prompt.shown else ""


def _first_shown(prompt: Prompt, start: int, stream: int) -> str:
    return prompt.shown[0] if prompt.shown else ""


KINDS: tuple[Callable[[Prompt, int, int], str], ...] = (
    *[_good] * 79,
    *[_empty] * 4,
    *[_repeat] * 4,
    *[_stray] * 4,
    *[_without_values] * 4,
    *[_last_shown] * 3,
    *[_first_shown] * 2,
)


def _missing(text: str, values: Sequence[str]) -> str:
    """Return the values that a text does not have yet, each after a blank."""
    folded = text.casefold()
    return "".join(f" {value}" for value in values if value.casefold() not in folded)


def _mix(value: int) -> int:
    """Return 64 bits that look random and depend on the value alone (SplitMix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _WORD_BITS
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD_BITS
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD_BITS
    return value ^ (value >> 31)
