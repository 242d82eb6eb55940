"""Slot values: where they occur in a text, and other values put in their place.

A small LM copies a requested value only where copying is the one way to lower
the loss; so half of the values it trains on are ones that it cannot predict.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msp.models.pretrain.corpus import Document, Utterance
from msp.models.pretrain.invented import DAYS, MONTHS, NUMBER_WORDS, generate, person

_TIME = re.compile(
    r"\d\s*(?:am|pm|a\.m|p\.m|o'?clock)|\d:\d\d|\bnoon\b|\bmidnight\b|half past|quarter"
    r"|\b(?:morning|evening|afternoon|night|in the)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:" + "|".join(day.lower() for day in DAYS) + r"|today|tomorrow|yesterday|"
    r"weeks?|weekly|week(?:day|end)s?|"
    r"month|next|day|" + "|".join(month.lower() for month in MONTHS) + r"|\d+(?:st|nd|rd|th))\b",
    re.IGNORECASE,
)
_NAME_RUN = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+){0,3}")
_STOP = frozenset(
    "a an the and or but if so to of in on at by for from with as is are was were be been am do "
    "does did have has had i you he she it we they me my your his her its our their this that "
    "these those there here not no yes can could will would shall should may might must what "
    "which who when where why how please ok okay just also too very than then any some all about "
    "up out don't i'm it's i'd i'll that's".split()
)
KINDS = ("number", "time", "date", "amount", "name", "phrase")


def kind_of(value: str) -> str:
    """Which kind of thing the value is: one of `KINDS`."""
    if "$" in value or re.search(r"\b(?:dollars|pounds|euros|usd)\b", value.lower()):
        return "amount"
    if _TIME.search(value):
        return "time"
    if _DATE.search(value):
        return "date"
    if re.fullmatch(r"[\d.,:\- ]+", value) or value.lower() in NUMBER_WORDS:
        return "number"
    return "name" if value[:1].isupper() else "phrase"


def occurrence(value: str, text: str) -> str | None:
    """The value as the text writes it (whole words, case ignored), or None."""
    if not value.strip():
        return None
    found = _pattern(value).search(text)
    return found.group(0) if found else None


def content_span(text: str, rng: random.Random) -> str | None:
    """One to three neighbouring words of the text that carry meaning, or None."""
    words = list(re.finditer(r"[\w$][\w'$.:-]*[\w]|\w", text))
    starts = [i for i, word in enumerate(words) if word.group(0).lower() not in _STOP]
    if not starts:
        return None
    first = rng.choice(starts)
    last = first
    for step in range(1, rng.choice((1, 1, 2, 2, 3))):
        after = first + step
        gap = text[words[last].end() : words[after].start()] if after < len(words) else None
        if gap != " ":
            break
        last = after
    while last > first and words[last].group(0).lower() in _STOP:
        last -= 1
    return text[words[first].start() : words[last].end()]


def content_words(text: str) -> list[str]:
    """The lower-case words of the text that carry meaning, in order, each once."""
    words = (word.lower() for word in re.findall(r"[A-Za-z][a-z']{2,}", text))
    return list(dict.fromkeys(word for word in words if word not in _STOP))


@dataclass(slots=True)
class ValuePools:
    """Values to put in another's place, by domain and kind, and from all of the documents."""

    by_domain: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)

    @classmethod
    def gather(cls, utterances: Iterable[Utterance], documents: Iterable[Document]) -> ValuePools:
        """The pools of a corpus; order follows the corpus, so draws repeat."""
        by_domain: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
        for utterance in utterances:
            for value in utterance.values:
                by_domain[utterance.source, utterance.domain, kind_of(value)][value] = None
        names: dict[str, None] = {}
        phrases: dict[str, None] = {}
        for document in documents:
            for segment in document.segments[:6]:
                if ": " in segment[:40] and document.corpus == "english_wordnet":
                    lemmas = segment.split(":", 1)[0].split(" (")[0]
                    phrases.update(dict.fromkeys(lemmas.split(", ")))
                elif len(names) < 100_000:
                    names.update(dict.fromkeys(_NAME_RUN.findall(segment[:600])))
        return cls({key: list(pool) for key, pool in by_domain.items()}, list(names), list(phrases))

    def draw(self, value: str, utterance: Utterance, rng: random.Random) -> str:
        """Another value of the same kind: of the same domain, harvested, or generated."""
        kind = kind_of(value)
        pool = self.by_domain.get((utterance.source, utterance.domain, kind), ())
        choice = rng.random()
        if pool and choice < 0.4:
            return rng.choice(pool)
        if kind in ("number", "time", "date", "amount"):
            return generate(kind, rng)
        if kind == "name":
            return rng.choice(self.names) if self.names and choice < 0.85 else person(rng)
        harvested = self.phrases if choice < 0.75 else self.names
        return rng.choice(harvested).lower() if harvested else person(rng).lower()


def substitute(text: str, replacements: Sequence[tuple[str, str]]) -> str:
    """The text with each value replaced, longer ones first; replacements are never replaced."""
    new = {old.lower(): replacement for old, replacement in replacements}
    if not new:
        return text
    longest_first = sorted(new, key=len, reverse=True)
    pattern = re.compile(_whole("|".join(map(re.escape, longest_first))), re.IGNORECASE)
    return pattern.sub(lambda found: new.get(found.group(0).lower(), found.group(0)), text)


def _pattern(value: str) -> re.Pattern[str]:
    return re.compile(_whole(re.escape(value)), re.IGNORECASE)


def _whole(pattern: str) -> str:
    return rf"(?<!\w)(?:{pattern})(?!\w)"
