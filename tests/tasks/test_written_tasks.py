"""GSM8K and MBPP: how a question and its answer become one line, and which rows are refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.tasks import load_task
from msp.tasks.answers import (
    final_number,
    named_tests,
    on_many_lines,
    on_one_line,
    question_of,
    split_answer,
)

PROGRAM = "def double(x):\r\n    return 2 * x\r\n"


@given(st.text(alphabet="ab 1nu\\\n\t\r\x0b\x1c\x85\xa0\u2003\u2028"))
def test_a_program_on_one_line_comes_back_to_the_letter(source: str) -> None:
    line = on_one_line(source)
    assert " ".join(line.split()) == line
    assert on_many_lines(line) == source


@given(st.text(alphabet="\\nut1 x00a"))
def test_what_is_no_spelling_breaks_nothing(line: str) -> None:
    assert isinstance(on_many_lines(line), str)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("she has 3 + 4 = 7. #### 7", "7"),
        ("#### 1,234,000", "1234000"),
        ("#### $18.50", "18.5"),
        ("#### -3.", "-3"),
        ("#### .5", "0.5"),
        ("#### 12 no, #### 13", "13"),
        ("the answer is 7", None),
        ("####", None),
        ("#### ,", None),
    ],
)
def test_an_answers_number_stands_after_its_last_mark(answer: str, number: str | None) -> None:
    assert final_number(answer) == (None if number is None else Decimal(number))


def gsm8k(folder: Path, **rows: list[Any]) -> TaskConfig:
    usual = [
        {
            "question": f"What is {n}\n plus 1?",
            "answer": f"It is {n}+1=<<{n}+1={n + 1}>>{n + 1}.\n#### {n + 1}",
        }
        for n in range(30)
    ]
    files = {"train": usual[:20], "test": usual[20:], **rows}
    for name, found in files.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in found))
    return TaskConfig(name="gsm8k", path=str(folder))


def mbpp(folder: Path, *changed: dict[str, Any]) -> TaskConfig:
    rows = [
        {
            "text": f"Write a function  to double number {n}.",
            "code": PROGRAM,
            "task_id": n,
            "test_setup_code": "",
            "test_list": ["assert double(1) == 2", "assert double(0) == 0"],
            "challenge_test_list": [],
        }
        for n in (1, 11, 510, 511, 600, 601, 974)
    ]
    for change in changed:
        rows[-1] |= change
    (folder / "mbpp.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return TaskConfig(name="mbpp", path=str(folder))


def test_gsm8k_is_read_without_what_a_calculator_says(tmp_path: Path) -> None:
    task = load_task(gsm8k(tmp_path), seed=13)
    assert (len(task.seeds), len(task.dev), len(task.test)) == (16, 4, 10)
    assert task.kind == "number" and not task.ontology.all
    example = task.test[0]
    assert example.uid == "test.jsonl:1"
    assert example.text == "What is 20 plus 1? Answer: It is 20+1=21. #### 21"
    assert split_answer(example.text) == ("What is 20 plus 1?", example.target)


def test_mbpp_has_its_authors_splits_and_tells_the_tests(tmp_path: Path) -> None:
    task = load_task(mbpp(tmp_path), seed=13)
    splits = [[example.uid for example in split] for split in (task.seeds, task.dev, task.test)]
    assert splits == [
        ["mbpp.jsonl:601", "mbpp.jsonl:974"],
        ["mbpp.jsonl:511", "mbpp.jsonl:600"],
        ["mbpp.jsonl:11", "mbpp.jsonl:510"],
    ]
    question = question_of(task.test[0].text)
    assert question.startswith("Write a function to double number 11. Tests: assert double")
    assert named_tests(question) == "assert double(1) == 2\nassert double(0) == 0"
    assert on_many_lines(task.test[0].target or "") == "def double(x):\n    return 2 * x"


def test_a_tests_setup_comes_before_them(tmp_path: Path) -> None:
    task = load_task(mbpp(tmp_path, {"test_setup_code": "two = [\n  2]"}), seed=13)
    tests = named_tests(question_of(task.seeds[-1].text))
    assert tests.splitlines()[:3] == ["two = [", "  2]", "assert double(1) == 2"]


def test_what_asks_as_a_test_example_does_is_left_out_whatever_its_tests(tmp_path: Path) -> None:
    same = {"text": "write a function to double NUMBER 11", "test_list": ["assert True"]}
    task = load_task(mbpp(tmp_path, same), seed=13)
    assert len(task.seeds) == 1
    assert any("left out 1 of 4 seed and dev examples" in note for note in task.notes)


def test_long_examples_are_left_out_of_what_is_learned_and_few_are_scored(tmp_path: Path) -> None:
    config = gsm8k(tmp_path).model_copy(update={"max_text_chars": 45, "max_test_examples": 3})
    task = load_task(config, seed=13)
    assert all(len(example.text) <= 45 for example in (*task.seeds, *task.dev))
    assert len(task.test) == 3
    assert any("longer than 45 characters (task.max_text_chars)" in note for note in task.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], r"train\.jsonl, line 1: is \[\]; write an object with question, answer"),
        ({"question": "q"}, r"train\.jsonl, line 1: has no answer; it needs question, answer"),
        ({"question": "q", "anwser": "a"}, "'anwser' is not known.*did you mean 'answer'"),
        ({"question": 7, "answer": "#### 1"}, r"line 1: question is 7; write a string"),
        ({"question": "q", "answer": "seven"}, "ends 'seven'; it must end with its number"),
        ({"question": "An Answer: no", "answer": "#### 1"}, "question: holds 'Answer:'"),
    ],
)
def test_a_row_of_gsm8k_is_refused_by_file_and_line(row: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match=message):
        load_task(gsm8k(tmp_path, train=[row]), seed=13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_id": "7"}, r"mbpp\.jsonl, line 7: task_id is '7'; write a number from 1 on"),
        ({"task_id": True}, "task_id is True"),
        ({"test_list": []}, r"line 7: test_list is \[\]; write a list of assertions"),
        ({"test_list": [3]}, "line 7: a test is 3; write a string"),
        ({"test_list": ["x = ' Answer: '"]}, "test_list: holds 'Answer:'"),
        ({"text": "Tests: none"}, "text: holds 'Tests:'"),
        ({"code": " "}, "line 7: code is empty"),
        ({"tests": []}, "'tests' is not known"),
    ],
)
def test_a_row_of_mbpp_is_refused_by_file_and_line(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TaskDataError, match=message):
        load_task(mbpp(tmp_path, change), seed=13)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match=r"train\.jsonl: cannot be read"):
        load_task(TaskConfig(name="gsm8k", path=str(tmp_path)), seed=13)
