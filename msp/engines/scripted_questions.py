"""The scripted engine's replies to requests for questions: whole ones, and broken in known ways."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.engines.scripted import LOGPROB_PER_TOKEN, OPENERS, STRAY_TOPICS
from msp.records import Generated

_NUM_ITEMS = 3
_CHARS_PER_TOKEN = 4
# What a context has open at its end; the list before it holds the formatting example, if any.
_OPEN = re.compile(r'\[?(?P<shown>\{.*\}, )?(?P<open>\{[^{}]*")\Z')

_LACKING_SHARE = 0.1
BETWEEN = "|"

Item = dict[str, Any]


class ScriptedQuestions:
    """Writes lists, or lines, of questions like the one that a context shows, without a model.

    Of 20 replies about one each is prose, is cut off, has an object that is no JSON, lacks a
    field, has other options than asked for, or an answer that is none of them. A reply
    follows from its unit and stream alone.
    """

    def generate(
        self, requests: Sequence[Request], sampling: GenerateConfig
    ) -> list[list[Generated]]:
        """Return replies as :class:`msp.engines.base.Engine` says; four characters are a token."""
        room = sampling.max_new_tokens * _CHARS_PER_TOKEN
        return [
            [_reply(r.context, r.random_seed + k, room) for k in range(r.num_candidates)]
            for r in requests
        ]

    def take_counts(self) -> dict[str, int]:
        """Return nothing: there is no prompt to compute."""
        return {}


def _reply(context: str, stream: int, room: int) -> Generated:
    before, _, line = context.rpartition("\n")
    found = _OPEN.search(line)
    text = _listed(found["open"], found["shown"], stream) if found else _line(before, stream)
    text = text[:room]
    num_tokens = -(-len(text) // _CHARS_PER_TOKEN)
    return Generated(text, num_tokens, LOGPROB_PER_TOKEN * num_tokens)


def _listed(opened: str, shown: str | None, stream: int) -> str:
    items = [_item(opened, shown, stream, k) for k in range(_NUM_ITEMS)]
    return Random(f"breaks {stream}").choice(_BREAKS)(items)[len(opened) :]


def _line(before: str, stream: int) -> str:
    """Return a line with the fields of the last one that is shown; of ten, one lacks a field."""
    rng = Random(f"line {stream}")
    shown = before.rpartition("\n")[2].partition(": ")[2]
    num_others = shown.count(BETWEEN)
    topic, start = rng.choice(STRAY_TOPICS), rng.choice(OPENERS)
    number, other = rng.randrange(10**6), rng.randrange(10**6)
    question = f"{start}, is it so that {topic} {number} {other} times?"
    if num_others == 1:
        fields = [f"They say that {topic}, {number} times a year.", question]
    else:
        options = [f"{topic} {k}" for k in range(num_others - 1)]
        fields = [question, *options, *([rng.choice(options)] if options else [])]
    return f" {BETWEEN} ".join(fields[1:] if rng.random() < _LACKING_SHARE else fields)


def _item(opened: str, shown: str | None, stream: int, place: int) -> Item:
    """Return a question that begins as the context does and has the shown one's form."""
    begun: Item = json.loads(f'{opened}"}}')
    pattern: Item = json.loads(shown.rstrip(", ")) if shown else {}
    rng = Random(f"question {stream} {place}")
    topic, start = rng.choice(STRAY_TOPICS), rng.choice(OPENERS)
    number, other = rng.randrange(10**6), rng.randrange(10**6)
    item: Item = {}
    if "context" in begun or pattern.get("context"):
        item["context"] = f"They say that {topic}, {number} times a year."
    item["question"] = f"{start}, is it so that {topic} {number} {other} times?"
    options = begun.get("options") or [f"{topic} {n}" for n in range(_num_options(pattern))]
    answer: Item = {"options": options, "label": begun.get("label", rng.choice(options))}
    return answer | item if "options" in begun else item | answer


def _num_options(pattern: Item) -> int:
    return len(pattern.get("options", ())) or 2


def _whole(items: list[Item]) -> str:
    return ", ".join(map(json.dumps, items)) + "]"


def _prose(items: list[Item]) -> str:
    return json.dumps(items[0])[:40] + " and I would rather talk of the weather"


def _cut(items: list[Item]) -> str:
    return _whole(items)[:-20]


def _unquoted(items: list[Item]) -> str:
    return _whole(items[:1])[:-1] + ', {"question": who knows?}, ' + json.dumps(items[2])


def _lacking(items: list[Item]) -> str:
    return _whole([items[0], {key: items[1][key] for key in ("question", "options")}, items[2]])


def _one_option(items: list[Item]) -> str:
    return _whole([items[0], items[1] | {"options": items[1]["options"][:1]}, items[2]])


def _other_answer(items: list[Item]) -> str:
    return _whole([items[0], items[1] | {"label": "none of these"}, items[2]])


_BREAKS: tuple[Callable[[list[Item]], str], ...] = (
    *[_whole] * 14,
    _prose,
    _cut,
    _unquoted,
    _lacking,
    _one_option,
    _other_answer,
)
