"""Which written answers are right: the number at the end, or a program that passes its tests."""

from __future__ import annotations

import sys

import pytest

from msp.metrics.answers import is_right, passes_tests
from msp.metrics.sandbox import Limits
from msp.tasks.answers import TESTS, on_one_line

CHECKS = on_one_line("assert double(1) == 2\nassert double(0) == 0")
QUESTION = f"Double a number.{TESTS}{CHECKS}"

needs_sandbox = pytest.mark.skipif(
    sys.platform != "linux", reason="programs are confined by the Linux kernel"
)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("so 18 #### 18", True), ("#### 18.00", True), ("#### 17", False), ("18", False), ("", False)],
)
def test_a_calculation_is_right_by_its_final_number(answer: str, right: bool) -> None:
    assert is_right("number", "How many?", "9 * 2 = 18 #### 18", answer) == right


@needs_sandbox
@pytest.mark.parametrize(
    ("program", "right"),
    [
        ("def double(x):\n    return x + x", True),
        ("def double(x):\n    return x * x", False),
        ("def twice(x):\n    return x + x", False),
        ("while True:\n    pass", False),
        ("kept = [0] * 10 ** 12\ndef double(x): return x + x", False),
        ("raise SystemExit", False),
        ("", False),
    ],
)
def test_a_program_is_right_where_it_passes_every_test(program: str, right: bool) -> None:
    limits = Limits(seconds=1.0)
    assert passes_tests(QUESTION, on_one_line(program), limits=limits) == right


@needs_sandbox
def test_after_a_program_that_never_ends_the_next_is_scored() -> None:
    programs = ["while True: pass", "def double(x): return 2 * x"]
    limits = Limits(seconds=0.5)
    assert [passes_tests(QUESTION, program, limits=limits) for program in programs] == [False, True]


def test_without_a_test_nothing_passes() -> None:
    assert not is_right("program", "Double a number.", "", "def double(x): return 2 * x")
