"""Whether a written answer is right: its final number, or its program's tests."""

from __future__ import annotations

from msp.metrics.sandbox import Limits, run_program
from msp.tasks.answers import final_number, named_tests, on_many_lines

PROGRAM_LIMITS = Limits()


def has_right_number(reference: str, answer: str) -> bool:
    """Tell whether an answer ends with the reference's number."""
    number = final_number(answer)
    return number is not None and number == final_number(reference)


def passes_tests(question: str, answer: str, *, limits: Limits = PROGRAM_LIMITS) -> bool:
    """Tell whether a program, written on one line, passes all tests that its question names.

    It runs in a sandbox; one that never ends, or eats memory, does not pass. Without a
    test, nothing does.

    Raises:
        ConfigError: this machine cannot confine programs.
    """
    tests = named_tests(question)
    if not tests.strip() or not answer.strip():
        return False
    return run_program(on_many_lines(answer), [tests], limits=limits).passed


def is_right(kind: str, question: str, reference: str, answer: str) -> bool:
    """Tell whether an answer is right.

    Args:
        kind: of the task: ``number`` or ``program``.
        question: that was asked.
        reference: the right answer, or one of them.
        answer: what was written.
    """
    if kind == "number":
        return has_right_number(reference, answer)
    return passes_tests(question, answer)
