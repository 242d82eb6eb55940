"""The task-shaped documents: numbered utterances that share attributes, as generation asks.

The line syntax `{n}) {attribute; attribute} [{value; value}]: {text}` is a
contract with the instruction texts that prompt the model later.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from msp.models.pretrain.attributes import describe
from msp.models.pretrain.corpus import Utterance
from msp.models.pretrain.lines import Line, keyword_attributes, make_line
from msp.models.pretrain.values import ValuePools, occurrence

_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
_LABELLED_HEADERS = (
    "Utterances in the {domain} domain:",
    "Examples of utterances in the {domain} domain:",
    "What people say in the {domain} domain:",
    "Things users say about {domain}:",
    "Utterances about {domain}, with what each expresses and mentions:",
    "Domain: {domain}",
    "{domain}:",
    "Each line: what it expresses, [what it mentions]: the utterance in the {domain} domain.",
    "Write an utterance in the {domain} domain for each line:",
    "Show me {k} distinct utterances in the {domain} domain:",
    "Here are {k} utterances in the {domain} domain:",
)
_LISTED_HEADERS = (
    "Show me {k} distinct utterances that all express {attributes} in the {domain} domain{values}:",
    "Give me {k} utterances that express {attributes} in the {domain} domain{values}:",
    "Write {k} different utterances in the {domain} domain that express {attributes}{values}:",
    "{k} utterances that express {attributes} in the {domain} domain{values}:",
    "In the {domain} domain, {k} utterances expressing {attributes}{values}:",
    "List {k} ways to express {attributes} in the {domain} domain{values}:",
    "Here are {k} distinct utterances expressing {attributes} in the {domain} domain{values}:",
    "What do people say for {attributes} in the {domain} domain{values}?",
)
_MENTIONING = (" mentioning {values}", " that mention {values}", ", mentioning {values}")


class TaskForms:
    """Draws task-shaped documents from utterances; the same random state gives the same text."""

    def __init__(self, utterances: Sequence[Utterance], pools: ValuePools) -> None:
        self._pools = pools
        self._by_domain: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
        self._by_attribute: dict[tuple[str, str, str], list[Utterance]] = defaultdict(list)
        self._starts: dict[tuple[str, bool], list[Utterance]] = defaultdict(list)
        for utterance in utterances:
            place = (utterance.source, utterance.domain)
            self._by_domain[place].append(utterance)
            for name in utterance.attributes:
                self._by_attribute[(*place, name)].append(utterance)
            self._starts[utterance.source, utterance.speaker == "user"].append(utterance)

    def labelled(self, source: str, rng: random.Random, *, keywords: bool = False) -> str:
        """Form B: every line with its own attributes and values before it."""
        last = self._start(source, rng)
        utterances = self._company(last, rng.randint(2, 8), rng)
        lines = [make_line(utterance, self._pools, rng) for utterance in utterances]
        if keywords:
            lines = [_with_keywords(line, rng) for line in lines]
        lines = _distinct(lines)
        shown, glossary = _described(lines, rng, with_glossary=not keywords)
        header = rng.choice(_LABELLED_HEADERS) if rng.random() < 0.9 else ""
        k = _count(len(lines), rng)
        body = [_labelled_line(i, line, shown) for i, line in enumerate(lines, start=1)]
        top = [header.format(domain=last.domain, k=k)] if header else []
        return "\n".join([*glossary, *top, *body]) + "\n"

    def listed(self, source: str, rng: random.Random) -> str:
        """Form A: the attributes once in the header, then the utterances."""
        last = self._start(source, rng)
        names = rng.sample(last.attributes, min(len(last.attributes), rng.choice((1, 1, 2, 2, 3))))
        found = self._expressing(last, names, rng.randint(2, 8), rng)
        shared = self._shared_value(last, found, rng)
        if shared:
            found = [u for u in found if any(occurrence(v, u.text) for v in u.values)]
        lines = _distinct([make_line(u, self._pools, rng, shared) for u in found])
        rng.shuffle(names)
        shown = [describe(n, rng) if rng.random() < 0.12 else n for n in names]
        values = rng.choice(_MENTIONING).format(values=shared) if shared else ""
        header = rng.choice(_LISTED_HEADERS).format(
            k=_count(len(lines), rng),
            attributes=_joined(shown, rng),
            domain=last.domain,
            values=values,
        )
        body = [_listed_line(i, line) for i, line in enumerate(lines, start=1)]
        return "\n".join([header[0].upper() + header[1:], *body]) + "\n"

    def _start(self, source: str, rng: random.Random) -> Utterance:
        wanted = rng.random() < 0.8
        pool = self._starts.get((source, wanted)) or self._starts[source, not wanted]
        return rng.choice(pool)

    def _company(self, last: Utterance, k: int, rng: random.Random) -> list[Utterance]:
        """k utterances of the domain, most sharing an attribute with the last of them."""
        found: list[Utterance] = []
        place = (last.source, last.domain)
        for _ in range(k - 1):
            if last.attributes and rng.random() < 0.9:
                pool = self._by_attribute[(*place, rng.choice(last.attributes))]
            else:
                pool = self._by_domain[place]
            found.append(rng.choice(pool))
        return [*found, last]

    def _expressing(
        self, last: Utterance, names: list[str], k: int, rng: random.Random
    ) -> list[Utterance]:
        """Up to k utterances with all of `names`; names go, one by one, where too few have them."""
        while True:
            place = (last.source, last.domain)
            pool = min((self._by_attribute[(*place, name)] for name in names), key=len)
            drawn = rng.sample(pool, min(len(pool), 60))
            found = [u for u in drawn if u.text != last.text and set(names) <= set(u.attributes)]
            if len(found) >= min(k - 1, 2) or len(names) == 1:
                return [*found[: k - 1], last]
            names.remove(rng.choice(names))

    def _shared_value(
        self, last: Utterance, found: list[Utterance], rng: random.Random
    ) -> str | None:
        if rng.random() > 0.4:
            return None
        values = [v for v in (occurrence(v, last.text) for v in last.values) if v]
        if not values or len([u for u in found if u.values]) < 2:
            return None
        value = rng.choice(values)
        return self._pools.draw(value, last, rng) if rng.random() < 0.6 else value


def _described(
    lines: list[Line], rng: random.Random, *, with_glossary: bool
) -> tuple[dict[str, str], list[str]]:
    """How each attribute of the lines is shown, and the glossary that goes before them.

    Mostly by name; in 15 % of documents some by description, in 10 % explained first.
    """
    names = list(dict.fromkeys(name for line in lines for name in line.attributes))
    shown = {name: name for name in names}
    style = rng.random()
    if style < 0.15:
        for name in rng.sample(names, min(len(names), rng.randint(1, 3))):
            shown[name] = describe(name, rng)
    elif style < 0.25 and with_glossary:
        return shown, [f"{name}: {describe(name, rng)}" for name in names[:8]]
    return shown, []


def _with_keywords(line: Line, rng: random.Random) -> Line:
    """The line with words of its own text as attributes, beside or in place of its own."""
    words = keyword_attributes(line.text, rng)
    kept = line.attributes if rng.random() < 0.4 else ()
    names = list(dict.fromkeys((*kept, *words)))
    rng.shuffle(names)
    return Line(tuple(names) or line.attributes, line.values, line.text)


def _distinct(lines: list[Line]) -> list[Line]:
    """The lines without repeated texts; of a text that repeats, the last one stays."""
    return list({line.text.lower(): line for line in reversed(lines)}.values())[::-1]


def _labelled_line(number: int, line: Line, shown: dict[str, str]) -> str:
    names = "; ".join(shown[name] for name in line.attributes)
    values = f" [{'; '.join(line.values)}]" if line.values else ""
    return f"{number}) {names}{values}: {line.text}"


def _listed_line(number: int, line: Line) -> str:
    values = f"[{'; '.join(line.values)}] " if line.values else ""
    return f"{number}) {values}{line.text}"


def _joined(names: list[str], rng: random.Random) -> str:
    if len(names) == 1:
        return names[0]
    separator = rng.choice((", ", "; ", " and "))
    return separator.join(names[:-1]) + " and " + names[-1]


def _count(k: int, rng: random.Random) -> str:
    return _NUMBER_WORDS[k] if rng.random() < 0.6 else str(k)
