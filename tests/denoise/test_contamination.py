"""A candidate that holds an evaluation text is found, and a file that is no such file is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msp.denoise.contamination import EvaluationTexts, read_evaluation_texts
from msp.denoise.rules import normalise
from msp.errors import ConfigError, TaskDataError

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def contaminated(text: str, *evaluation: str) -> bool:
    return EvaluationTexts(evaluation).contaminate(normalise(text))


def test_a_whole_text_is_found_in_any_case_and_punctuation() -> None:
    assert contaminated("Where's the POOL?", "where s the pool")
    assert not contaminated("where is the pool now", "where is the pool")


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not() -> None:
    words = LONG.split()
    assert contaminated("so " + " ".join(words[1:14]) + " indeed", LONG)
    assert not contaminated("so " + " ".join(words[1:13]) + " indeed", LONG)


def test_empty_texts_contaminate_nothing() -> None:
    assert not contaminated("", "", "  ") and len(EvaluationTexts(["", "?!"])) == 0


def test_lines_and_json_lines_are_read(tmp_path: Path) -> None:
    lines, rows = tmp_path / "a.txt", tmp_path / "b.jsonl"
    lines.write_text("first\nsecond\n", encoding="utf-8")
    rows.write_text(json.dumps({"text": "third"}) + "\n\n", encoding="utf-8")
    found = [text.strip() for text in read_evaluation_texts([str(lines), str(rows)])]
    assert [text for text in found if text] == ["first", "second", "third"]


@pytest.mark.parametrize("line", ["{", "[]", '{"texts": 1}', '{"text": 3}'])
def test_a_malformed_line_is_named_with_file_and_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_text('{"text": "x"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(TaskDataError, match=r"eval\.jsonl, line 2"):
        list(read_evaluation_texts([str(path)]))


@pytest.mark.parametrize("name", ["absent.txt", "table.csv"])
def test_a_file_that_is_not_there_or_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "table.csv").write_text("x")
    with pytest.raises(ConfigError, match=name):
        list(read_evaluation_texts([str(tmp_path / name)]))
