"""Questions with options are read as published, and a line that is not is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.tasks import load_task
from msp.tasks.base import QuestionForm, TaskData
from msp.tasks.questions import ChoiceQuestion

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "llm_data_creation"
FORMS = {
    "winogrande": QuestionForm(2),
    "csqa": QuestionForm(5),
    "strategyqa": QuestionForm(2, ("True", "False")),
    "pubmedqa": QuestionForm(2, ("True", "False"), has_context=True),
    "boolq": QuestionForm(2, ("True", "False"), has_context=True),
}


def row(name: str, number: int, **more: Any) -> dict[str, Any]:
    form = FORMS[name]
    options = list(form.options) or [f"thing {number}.{k}" for k in range(form.num_options)]
    return {
        "question": f"what of {number}?",
        "context": f"a tale of {number}" if form.has_context else None,
        "options": options,
        "label": number % 2 == 0 if form.options else options[number % 2],
        **more,
    }


def written(folder: Path, name: str, *odd: dict[str, Any]) -> Path:
    """Write a set in its own folder; the odd rows stand at the end of its training part."""
    for start, split in enumerate(("train", "dev", "test")):
        rows = [row(name, 10 * start + k) for k in range(4)]
        rows += odd if split == "train" else ()
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    return folder


def load(name: str, folder: Path) -> TaskData:
    return load_task(TaskConfig.model_validate({"name": name, "path": str(folder)}), seed=13)


@pytest.mark.parametrize("name", FORMS)
def test_every_set_is_read_with_its_form(tmp_path: Path, name: str) -> None:
    task = load(name, written(tmp_path, name))
    assert (task.kind, task.questions, task.domain) == ("choice", FORMS[name], name)
    assert (len(task.seeds), len(task.dev), len(task.test)) == (4, 4, 4)
    first = ChoiceQuestion.of(task.seeds[0].text, task.seeds[0].target or "")
    assert first.question == "what of 0?" and first.label in first.options
    assert first.context == ("a tale of 0" if FORMS[name].has_context else None)
    right = first.label if FORMS[name].options else "question"
    assert task.seeds[0].attributes == (right,)


@pytest.mark.parametrize(
    ("name", "odd", "message"),
    [
        ("csqa", {"label": "moon"}, r"label 'moon' is not among its options; write one of 'thing"),
        ("csqa", {"options": ["a", "b"], "label": "a"}, r"has 2 options .* has 5; write as many"),
        ("strategyqa", {"options": ["yes", "no"]}, r"always \['True', 'False'\]"),
        ("strategyqa", {"options": ["False", "True"]}, r"write these, in this order"),
        ("strategyqa", {"context": "a tale"}, r"context is 'a tale', but .* write null"),
        ("boolq", {"context": None}, r"context is None; write a string"),
        ("boolq", {"question": " "}, r"question is empty"),
        ("csqa", {"options": "abcde"}, r"options are 'abcde'; write a list"),
        ("csqa", {"answer": "a"}, r"key 'answer' is not known; it may have question"),
    ],
)
def test_what_is_not_of_the_form_is_named_with_file_and_line(
    tmp_path: Path, name: str, odd: dict[str, Any], message: str
) -> None:
    written(tmp_path, name, row(name, 99, **odd))
    with pytest.raises(TaskDataError, match=rf"^train\.jsonl, line 5: .*{message}"):
        load(name, tmp_path)


def test_published_questions_that_name_an_option_twice_stay_and_are_counted(
    tmp_path: Path,
) -> None:
    doubled = row("csqa", 99, options=["a", "b", "a", "c", "d"], label="a")
    task = load("csqa", written(tmp_path, "csqa", doubled))
    assert len(task.seeds) == 5 and "1 of 13 questions name an option twice." in task.notes


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared/data/llm_data_creation")
def test_the_published_files_are_read_from_the_folder_of_all_families(name: str) -> None:
    task = load(name, PUBLISHED)
    assert len(task.seeds) >= 160 and len(task.dev) >= 50 and len(task.test) >= 115


def test_other_sets_of_the_same_folder_are_tests_too(tmp_path: Path) -> None:
    for name, place in (("csqa", "mcqa_5/csqa"), ("boolq", "yesno_open/boolq")):
        (tmp_path / place).mkdir(parents=True)
        written(tmp_path / place, name)
    config = {"name": "csqa", "path": str(tmp_path), "also_test": ["csqa", "boolq"]}
    task = load_task(TaskConfig.model_validate(config), seed=13)
    assert list(task.also_test) == ["boolq"] and len(task.also_test["boolq"]) == 4
    assert all(not example.attributes for example in task.also_test["boolq"])
    with pytest.raises(ValidationError, match=r"trec is no set of questions with options"):
        TaskConfig.model_validate({"name": "trec", "path": "x", "also_test": ["csqa"]})
