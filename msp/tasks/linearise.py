"""An example's labels as one line of text, and back, whatever strings they are made of.

``check_in, how | date: tomorrow; today | time: 6 pm``: labels, then one
section a slot. A backslash stands before a mark that is part of a string;
``\\n``, ``\\r``, ``\\s`` and ``\\e`` are a line feed, a carriage return, a space at a
string's edge and the empty string.
"""

from __future__ import annotations

import re

from msp.errors import TaskDataError
from msp.records import Constraint, Example

_MARKS = re.compile(r"[\\,;:|]")
_TOKENS = re.compile(r"\\.|[^\\]", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "s": " ", "e": ""}


def linearise(labelled: Example | Constraint) -> str:
    """Return the target text of an example, or of what a generation must carry.

    :func:`parse_target` gives back exactly its attributes and values.
    """
    sections = [", ".join(map(_escape, labelled.attributes))]
    for slot, values in labelled.values.items():
        sections.append(f"{_escape(slot)}: {'; '.join(map(_escape, values))}".rstrip(" "))
    return " | ".join(sections).strip(" ")


def parse_target(target: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the attributes and the values (slot -> strings) that a target text spells.

    Raises:
        TaskDataError: a section after the first has no slot name or has it
            twice, a string is empty or holds a bare mark, or the text ends in
            a lone backslash.
    """
    try:
        first, *sections = _split(target, "|")
        values: dict[str, tuple[str, ...]] = {}
        for section in sections:
            name, colon, strings = _partition(section)
            slot = _unescape(name)
            if not colon or slot in values:
                raise TaskDataError(
                    f"section {section[:80]!r} has no slot name or one that was there before"
                )
            values[slot] = _strings(strings, ";")
        return _strings(first, ","), values
    except TaskDataError as error:
        raise TaskDataError(
            f"target {target[:80]!r}: {error}; write 'label, label | slot: value; value'."
        ) from error


def _escape(text: str) -> str:
    if not text:
        return r"\e"
    inner = text.strip(" ")
    if not inner:
        return r"\s" * len(text)
    left = len(text) - len(text.lstrip(" "))
    right = len(text) - len(text.rstrip(" "))
    inner = _MARKS.sub(r"\\\g<0>", inner).replace("\n", r"\n").replace("\r", r"\r")
    return r"\s" * left + inner + r"\s" * right


def _unescape(raw: str) -> str:
    raw = raw.strip(" ")
    if not raw or _MARKS.search(_ESCAPED.sub("", raw)):
        raise TaskDataError(f"{raw[:80]!r} is empty or holds a bare mark")
    return _ESCAPED.sub(lambda found: _LETTERS.get(found[1], found[1]), raw)


def _strings(raw: str, mark: str) -> tuple[str, ...]:
    return tuple(map(_unescape, _split(raw, mark))) if raw.strip(" ") else ()


def _split(raw: str, mark: str) -> list[str]:
    """Cut at each bare ``mark``; the parts are still escaped."""
    parts: list[list[str]] = [[]]
    for token in _TOKENS.findall(raw):
        if token == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    found = ["".join(part) for part in parts]
    if len(mark.join(found)) < len(raw):
        raise TaskDataError("the text ends in a lone backslash")
    return found


def _partition(section: str) -> tuple[str, bool, str]:
    name, *rest = _split(section, ":")
    return name, bool(rest), ":".join(rest)
