"""Attribute names made readable, and the natural descriptions that sometimes stand for them."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from msp.models.pretrain.corpus import Utterance

_NAME = re.compile(r"[^\W_][\w &'/-]*")
# A tag sequence in place of a name: `O O food_item`.
_TAGS = re.compile(r"\bO\b")
_MIN_UTTERANCES = 3
_SPEECH_ACTS = ("ask for", "offer", "confirm")
_ACTIONS = frozenset(
    "find search reserve book get buy play look lookup check make add remove rent schedule share "
    "transfer request order cancel change update report set open close replace order view select "
    "say tell thank agree refuse decline start pay send create turn move file upgrade lost".split()
)
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "ask for": (
        "the user asks for the {rest}",
        "is the intent to ask for the {rest}?",
        "the intent to ask about the {rest}",
        "wants to know the {rest}",
        "a question about the {rest}",
    ),
    "offer": (
        "the assistant offers the {rest}",
        "a {rest} is offered",
        "is the intent to offer the {rest}?",
        "proposing a {rest}",
    ),
    "confirm": (
        "the {rest} is confirmed",
        "is the intent to confirm the {rest}?",
        "checking that the {rest} is right",
        "asks whether the {rest} is right",
    ),
    "action": (
        "the user wants to {name}",
        "is the intent to {name}?",
        "the intent to {name}",
        "asking to {name}",
        "to {name}",
    ),
    "thing": (
        "what is the {name} mentioned?",
        "the {name} that is mentioned",
        "a {name} is given",
        "says the {name}",
        "something about the {name}",
        "is the intent to ask about the {name}?",
        "is the intent to talk about {name}?",
        "the intent to ask about {name}",
    ),
}


def describe(name: str, rng: random.Random) -> str:
    """A natural description of the attribute, from its name alone."""
    for act in _SPEECH_ACTS:
        if name.startswith(act + " "):
            return rng.choice(_TEMPLATES[act]).format(rest=name[len(act) + 1 :])
    kind = "action" if name.split()[0] in _ACTIONS else "thing"
    return rng.choice(_TEMPLATES[kind]).format(name=name)


def clean_utterances(utterances: Sequence[Utterance], words: Counter[str]) -> list[Utterance]:
    """The utterances whose attributes can be read, with those attributes only.

    Names with tags, quotes or bullets in them are annotation debris and go;
    run-together names (`changeseatassignment`) are split into words; names
    that fewer than three utterances of a source carry go too.

    Args:
        words: how often each lower-case word occurs in the corpus; what a name is split into.
    """
    total = sum(words.values()) or 1
    split_cache: dict[str, tuple[str, ...]] = {}

    def names_of(utterance: Utterance) -> tuple[str, ...]:
        names: list[str] = []
        for raw in utterance.attributes:
            if raw not in split_cache:
                split_cache[raw] = tuple(_readable(raw, words, total))
            names += [name for name in split_cache[raw] if name not in names]
        return tuple(names)

    named = [replace(utterance, attributes=names_of(utterance)) for utterance in utterances]
    counts = Counter((u.source, name) for u in named for name in u.attributes)
    return list(_keep_frequent(named, counts))


def _keep_frequent(
    utterances: Iterable[Utterance], counts: Counter[tuple[str, str]]
) -> Iterable[Utterance]:
    for utterance in utterances:
        names = tuple(
            n for n in utterance.attributes if counts[utterance.source, n] >= _MIN_UTTERANCES
        )
        if names and utterance.text:
            yield replace(utterance, attributes=names)


def _readable(raw: str, words: Counter[str], total: int) -> Iterable[str]:
    name = " ".join(raw.replace("_", " ").split()).lower()
    if _TAGS.search(raw) or not _NAME.fullmatch(name) or not 2 <= len(name) <= 60:
        return
    split = " ".join(_split_word(word, words, total) for word in name.split())
    for part in re.split(r"\bintent\b", split) if split != "intent" else ("intent",):
        if part.strip():
            yield part.strip()


def _split_word(word: str, words: Counter[str], total: int) -> str:
    """The likeliest split of a run-together word under unigram counts; known words stay whole."""
    if len(word) < 8 or not word.isalpha() or words[word] >= 200:
        return word
    best: list[tuple[float, tuple[str, ...]]] = [(0.0, ())]
    for end in range(1, len(word) + 1):
        options = []
        for start in range(max(0, end - 16), end):
            piece = word[start:end]
            count = words[piece] if len(piece) > 2 or piece in _SHORT_WORDS else 0
            known = count >= (20 if len(piece) < 6 else 2)
            cost = math.log(total / count) if known else 8.0 + 6.0 * len(piece)
            options.append((best[start][0] + cost, (*best[start][1], piece)))
        best.append(min(options))
    return " ".join(best[-1][1])


_SHORT_WORDS = frozenset("a i of to in on my is it at by no or up do go".split())
