"""A text cut where it may be changed: words, and each string that a label stands over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

_TOKEN = re.compile(r"\S+")
_MARKS = re.compile(r"(?P<opening>\W*)(?P<core>.*?)(?P<closing>\W*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text between blanks.

    Args:
        opening: marks before it, such as a quote.
        core: the word or the value.
        closing: marks after it.
        kind: a ``word`` may be changed, a ``value`` may only go elsewhere as a whole, and a
            ``mark``, which has no letter, stays.
    """

    opening: str
    core: str
    closing: str
    kind: Literal["word", "value", "mark"]

    def holding(self, other: Piece) -> Piece:
        """Return the marks of this piece around the core of another."""
        return replace(self, core=other.core, kind=other.kind)


def cut(text: str, values: Sequence[str]) -> list[Piece]:
    """Return the pieces of a text; :func:`join` gives the text back, blanks aside.

    Args:
        text: any.
        values: strings that stay whole wherever they occur, case aside; of two that overlap,
            the longer one.
    """
    kept = _spans(text, values)
    pieces: list[Piece] = []
    reached = 0
    for token in _TOKEN.finditer(text):
        if token.start() < reached:
            continue
        start, end = token.span()
        touched = [span for span in kept if span[0] < end and span[1] > start]
        # The value may go on in the next token, and that may hold the start of another.
        while touched and touched[-1][1] > end:
            following = _TOKEN.match(text, _next_start(text, end))
            assert following is not None
            end = following.end()
            touched = [span for span in kept if span[0] < end and span[1] > start]
        reached = end
        if touched:
            first, last = touched[0][0], touched[-1][1]
            core = text[first:last]
            pieces.append(Piece(text[start:first], core, text[last:end], "value"))
        else:
            pieces.append(_free(text[start:end]))
    return pieces


def join(pieces: Sequence[Piece]) -> str:
    """Return the pieces as a text, with single blanks."""
    return " ".join(f"{piece.opening}{piece.core}{piece.closing}" for piece in pieces)


def _free(token: str) -> Piece:
    found = _MARKS.fullmatch(token)
    assert found is not None
    if not found["core"]:
        return Piece("", token, "", "mark")
    return Piece(found["opening"], found["core"], found["closing"], "word")


def _spans(text: str, values: Sequence[str]) -> list[tuple[int, int]]:
    """Return where the values stand, in order and apart from each other."""
    found: list[tuple[int, int]] = []
    for value in sorted({" ".join(value.split()) for value in values} - {""}, key=_longest_first):
        before = r"(?<!\w)" if re.match(r"\w", value) else ""
        after = r"(?!\w)" if re.search(r"\w\Z", value) else ""
        pattern = before + r"\s+".join(map(re.escape, value.split())) + after
        for match in re.finditer(pattern, text, re.IGNORECASE):
            start, end = match.span()
            if all(end <= first or start >= last for first, last in found):
                found.append((start, end))
    return sorted(found)


def _longest_first(value: str) -> tuple[int, str]:
    return -len(value), value


def _next_start(text: str, end: int) -> int:
    return end + len(text[end:]) - len(text[end:].lstrip())
