"""GSM8K and MBPP: questions whose answers are written out, a calculation or a program.

GSM8K (Cobbe et al., arXiv 2110.14168) is ``train.jsonl`` and ``test.jsonl`` with question and
answer, which ends ``#### 72``. MBPP (Austin et al., arXiv 2108.07732) is ``mbpp.jsonl`` with text,
code, test_list and test_setup_code; its authors' task_ids 11 to 510 are test, 511 to 600
dev and 601 to 974 training (1 to 10 are for prompts, and left out here).

A student is told a program's tests beside its description, as MBPP's authors do: without
them it could not know the function's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.records import Example
from msp.tasks.answers import ANSWER, TESTS, final_number, join_answer, on_one_line, question_of
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology
from msp.tasks.reading import check_keys, checked_text, read_json_lines, shown
from msp.tasks.sampling import text_key
from msp.tasks.splits import Parts, build_task

GSM8K_DOMAIN, MBPP_DOMAIN = "arithmetic", "programs"

_GSM8K_KEYS = ("question", "answer")
_MBPP_KEYS = ("text", "code", "task_id", "test_setup_code", "test_list", "challenge_test_list")
_MBPP_NEEDED = ("text", "code", "task_id", "test_list")
_SPLITS = {"test": range(11, 511), "dev": range(511, 601), "training": range(601, 975)}
# What a calculator would say, for models that are given one.
_CALCULATOR = re.compile(r"<<[^<>]*>>")


def load_gsm8k(config: TaskConfig, *, seed: int) -> TaskData:
    """Return GSM8K; dev is drawn from the training file, as none is published.

    Raises:
        TaskDataError: a file is missing, or a row is not as published; names file and line.
    """
    folder = Path(config.path).expanduser()
    training, test = (list(_problems(folder / f"{name}.jsonl")) for name in ("train", "test"))
    parts = Parts(training, (), test, folder.name, config.dev_fraction, kind="number")
    return _task(parts, GSM8K_DOMAIN, config, seed)


def load_mbpp(config: TaskConfig, *, seed: int) -> TaskData:
    """Return MBPP with its authors' splits.

    Raises:
        TaskDataError: as :func:`load_gsm8k`.
    """
    path = Path(config.path).expanduser() / "mbpp.jsonl"
    split: dict[str, list[Example]] = {name: [] for name in _SPLITS}
    for number, example in _programs(path):
        for name, numbers in _SPLITS.items():
            if number in numbers:
                split[name].append(example)
    parts = Parts(
        split["training"], split["dev"], split["test"], path.parent.name, 0.0, kind="program"
    )
    return _task(parts, MBPP_DOMAIN, config, seed)


def _task(parts: Parts, domain: str, config: TaskConfig, seed: int) -> TaskData:
    """Return the task; what asks in the words of a test example is no seed or dev example."""
    asked = {_asked(example) for example in parts.test}
    before = len(parts.training) + len(parts.dev)
    training, dev = (
        [example for example in split if _asked(example) not in asked]
        for split in (parts.training, parts.dev)
    )
    left_out = before - len(training) - len(dev)
    note = f"left out {left_out} of {before} seed and dev examples: they ask what a test one asks."
    notes = (note,) if left_out else ()
    parts = replace(parts, training=training, dev=dev, notes=notes)
    return build_task(parts, Ontology(()), domain=domain, config=config, seed=seed)


def _asked(example: Example) -> str:
    """Return a question's prose, whatever its tests are."""
    return text_key(question_of(example.text).partition(TESTS)[0])


def _problems(path: Path) -> Iterator[Example]:
    for number, row in read_json_lines(path):
        where = f"{path.name}, line {number}"
        _check_keys(row, _GSM8K_KEYS, _GSM8K_KEYS, where)
        question = _words(row["question"], f"{where}: question")
        answer = " ".join(checked_text(row["answer"], f"{where}: answer").split())
        if final_number(answer) is None:
            raise TaskDataError(
                f"{where}: answer ends {shown(answer[-30:])}; it must end with its number, as in "
                "'#### 72'."
            )
        answer = _CALCULATOR.sub("", answer)
        text = join_answer(question, answer)
        yield Example(f"{path.name}:{number}", text, domain=GSM8K_DOMAIN, target=answer)


def _programs(path: Path) -> Iterator[tuple[int, Example]]:
    for number, row in read_json_lines(path):
        where = f"{path.name}, line {number}"
        _check_keys(row, _MBPP_KEYS, _MBPP_NEEDED, where)
        task_id, tests = row["task_id"], row["test_list"]
        if not isinstance(task_id, int) or isinstance(task_id, bool) or task_id < 1:
            raise TaskDataError(f"{where}: task_id is {shown(task_id)}; write a number from 1 on.")
        if not isinstance(tests, list) or not tests:
            raise TaskDataError(
                f"{where}: test_list is {shown(tests)}; write a list of assertions, one or more."
            )
        named = [_source(test, f"{where}: a test") for test in tests]
        if row.get("test_setup_code"):
            named = [_source(row["test_setup_code"], f"{where}: test_setup_code"), *named]
        spelled = on_one_line("\n".join(named))
        _check_marks(spelled, (ANSWER,), f"{where}: test_list")
        answer = on_one_line(_source(row["code"], f"{where}: code"))
        text = join_answer(f"{_words(row['text'], f'{where}: text')}{TESTS}{spelled}", answer)
        uid = f"{path.name}:{task_id}"
        yield task_id, Example(uid, text, domain=MBPP_DOMAIN, target=answer)


def _check_keys(row: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(row, dict):
        raise TaskDataError(f"{where}: is {shown(row)}; write an object with {', '.join(needed)}.")
    check_keys(row, known, where)
    for key in needed:
        if key not in row:
            raise TaskDataError(f"{where}: has no {key}; it needs {', '.join(needed)}.")


def _words(found: Any, where: str) -> str:
    """Return a question on one line."""
    text = " ".join(checked_text(found, where).split())
    _check_marks(text, (ANSWER, TESTS), where)
    return text


def _source(found: Any, where: str) -> str:
    """Return a program with Unix line ends and without blank lines around it."""
    source = checked_text(found, where).replace("\r\n", "\n").replace("\r", "\n")
    return source.strip("\n").rstrip()


def _check_marks(text: str, marks: tuple[str, ...], where: str) -> None:
    for mark in marks:
        if mark in f" {text} ":
            raise TaskDataError(
                f"{where}: holds {mark.strip()!r}, which tells a question from what follows it; "
                "write it otherwise."
            )
