"""Texts of tasks whose answer is written out: a question and its answer, on one line.

An LM writes both in one go, and ends a text with its line. So programs, whose lines and
indents matter, are spelled on one line, from which they come back to the letter.
"""

from __future__ import annotations

import re
from decimal import Decimal

ANSWER = " Answer: "
TESTS = " Tests: "

_SPACES = re.compile(r" {2,9}|(?<![^\n ]) | (?=\n|\Z)|[^\S ]|\\")
_SPELLED = re.compile(r"\\(u[0-9a-f]{4}|.)", re.DOTALL)
_FINAL = re.compile(r"####\s*\$?(-?(?:\d[\d,]*)?\.?\d+)")


def join_answer(question: str, answer: str) -> str:
    """Return the text of a question and its answer; both are on one line already."""
    return f"{question}{ANSWER}{answer}"


def split_answer(text: str) -> tuple[str, str] | None:
    """Return the question and the answer of a text; None where one of them is missing."""
    question, mark, answer = text.partition(ANSWER)
    return (question, answer) if mark and question.strip() and answer.strip() else None


def named_tests(question: str) -> str:
    """Return the tests that a question about a program names, as source; empty without any."""
    return on_many_lines(question.partition(TESTS)[2])


def final_number(answer: str) -> Decimal | None:
    """Return the number after an answer's last ``####``, as GSM8K ends one; None without.

    Thousands may have commas; ``18``, ``18.0`` and ``$18`` are the same.
    """
    found = _FINAL.findall(answer)
    return Decimal(found[-1].replace(",", "")) if found else None


def question_of(text: str) -> str:
    """Return the question of a text, or all of a text that has no answer."""
    found = split_answer(text)
    return text if found is None else found[0]


def on_one_line(source: str) -> str:
    r"""Return a program on one line, without runs of spaces.

    A line end is ``\n``, a tab ``\t``, a backslash ``\\``, a run of two to nine spaces is
    ``\2`` to ``\9`` (one at a line's start or end ``\1``), other white space ``\uXXXX``.
    """
    return _SPACES.sub(_spelled, source)


def on_many_lines(line: str) -> str:
    r"""Return the program that :func:`on_one_line` spelled; what is no spelling stays."""
    return _SPELLED.sub(_unspelled, line)


def _spelled(found: re.Match[str]) -> str:
    mark = found[0]
    if mark[0] == " ":
        return f"\\{len(mark)}"
    return {"\n": r"\n", "\t": r"\t", "\\": r"\\"}.get(mark) or f"\\u{ord(mark):04x}"


def _unspelled(found: re.Match[str]) -> str:
    mark = found[1]
    if mark in "123456789":
        return " " * int(mark)
    if len(mark) > 1:
        return chr(int(mark[1:], 16))
    return {"n": "\n", "t": "\t", "\\": "\\"}.get(mark, found[0])
