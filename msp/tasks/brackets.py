"""Labelled spans of a text as one line of brackets, and back: entities, slots and whole parses.

``In [location Paris ] , [event the fair ]`` has entities, and
``[IN:CREATE_REMINDER remind me to [SL:TODO eat ] ]`` is a parse as TOPv2 writes it.
Words stand between single spaces. A backslash before a word says that it is no
bracket; in a label it stands before a backslash, and ``\\_`` is a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msp.errors import TaskDataError

# TOPv2's deepest parse has eight levels; hostile input must not exhaust the stack.
MAX_DEPTH = 60

_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Node:
    """A labelled span.

    Args:
        label: an intent, slot or entity type.
        children: words and labelled spans, in the text's order.
    """

    label: str
    children: Forest = ()


Forest = tuple[Node | str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Where a label stands: words ``start`` to ``end`` (exclusive), counted from 0."""

    start: int
    end: int
    label: str


def write_brackets(forest: Forest) -> str:
    """Return the line of a forest; :func:`read_brackets` gives back exactly the forest.

    Words must be non-empty and without blanks.
    """
    return " ".join(_pieces(forest))


def read_brackets(line: str) -> Forest:
    """Return the words and labelled spans of a line.

    Raises:
        TaskDataError: a bracket is never closed or closes nothing, a label is
            missing, or spans are nested deeper than :data:`MAX_DEPTH`.
    """
    open_labels: list[tuple[str, int]] = []
    levels: list[list[Node | str]] = [[]]
    for number, piece in enumerate(line.split(), start=1):
        if piece == "]":
            if not open_labels:
                raise TaskDataError(
                    f"unbalanced brackets: the ']' at piece {number} closes nothing; "
                    "every '[LABEL' has one ' ]'."
                )
            label, _ = open_labels.pop()
            node = Node(label, tuple(levels.pop()))
            levels[-1].append(node)
        elif piece.startswith("["):
            open_labels.append((_label(piece, number), number))
            levels.append([])
            if len(open_labels) > MAX_DEPTH:
                raise TaskDataError(f"brackets are nested deeper than {MAX_DEPTH} levels.")
        else:
            levels[-1].append(piece.removeprefix("\\"))
    if open_labels:
        label, number = open_labels[-1]
        raise TaskDataError(
            f"unbalanced brackets: '[{label}' at piece {number} is never closed; "
            "every '[LABEL' has one ' ]'."
        )
    return tuple(levels[0])


def words_in(forest: Forest) -> list[str]:
    """Return the words, in order."""
    return [
        word
        for part in forest
        for word in ([part] if isinstance(part, str) else words_in(part.children))
    ]


def spans_in(forest: Forest, start: int = 0) -> list[Span]:
    """Return every labelled span at any depth, an outer one before what is inside it."""
    found: list[Span] = []
    for part in forest:
        if isinstance(part, str):
            start += 1
            continue
        end = start + len(words_in(part.children))
        found.append(Span(start, end, part.label))
        found += spans_in(part.children, start)
        start = end
    return found


def labels_in(forest: Forest) -> list[str]:
    """Return every label, as often as it stands there, an outer one first."""
    return [span.label for span in spans_in(forest)]


def forest_of(words: Sequence[str], spans: Sequence[Span]) -> Forest:
    """Return the forest of words with spans that nest or are apart; none is empty.

    Of two spans over the same words the first one given is the outer.
    """
    ordered = sorted(enumerate(spans), key=lambda item: (item[1].start, -item[1].end, item[0]))
    forest, used = _build(words, [span for _, span in ordered], 0, len(words))
    assert used == len(spans), "spans cross"
    return forest


def _build(words: Sequence[str], spans: Sequence[Span], start: int, end: int) -> tuple[Forest, int]:
    """Return the forest of words ``start`` to ``end`` and how many leading spans are inside it."""
    parts: list[Node | str] = []
    used = 0
    while start < end:
        span = spans[used] if used < len(spans) else None
        if span is None or span.start != start or span.end > end:
            parts.append(words[start])
            start += 1
            continue
        children, inside = _build(words, spans[used + 1 :], span.start, span.end)
        parts.append(Node(span.label, children))
        used += 1 + inside
        start = span.end
    return tuple(parts), used


def _pieces(forest: Forest) -> Iterator[str]:
    for part in forest:
        if isinstance(part, Node):
            label = part.label.replace("\\", r"\\").replace(" ", r"\_")
            yield f"[{label}"
            yield from _pieces(part.children)
            yield "]"
        else:
            yield f"\\{part}" if part == "]" or part[0] in "[\\" else part


def _label(piece: str, number: int) -> str:
    label = _ESCAPED.sub(lambda found: " " if found[1] == "_" else found[1], piece[1:])
    if not label:
        raise TaskDataError(f"the '[' at piece {number} has no label; write '[LABEL words ]'.")
    return label
