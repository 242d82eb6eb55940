"""Replies are judged piece by piece: seed and evaluation questions come back in no form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msp.config import DenoiseConfig, RunConfig
from msp.denoise.near import NearTexts
from msp.denoise.questions import QuestionScorer
from msp.judging import evaluation_texts
from msp.records import Candidate, Constraint, Example, Generated, Growth, Unit
from msp.tasks.base import QuestionForm, TaskData
from msp.tasks.questions import ChoiceQuestion, ontology_of

FORM = QuestionForm(2, ("True", "False"))
KNOWN = "is it true that the old lighthouse keeper of the island sleeps through every winter storm"
TARGET = ChoiceQuestion(KNOWN, None, FORM.options, "True").target


@pytest.fixture
def task() -> TaskData:
    seed = Example("s", KNOWN, ("True",), {}, "tales", TARGET)
    held = replace(seed, uid="t", text=KNOWN.replace("lighthouse", "railway").replace("the", "a"))
    return TaskData(
        ontology_of(FORM), "tales", (seed,), (), (held,), "h", kind="choice", questions=FORM
    )


def judged(task: TaskData, *replies: str, **denoise: Any) -> list[Candidate]:
    config = RunConfig.model_validate(
        {
            "output_uri": "x",
            "task": {"name": "strategyqa", "path": "x"},
            "generate": {
                "method": "data_creation",
                "num_synthetic": 10,
                "num_candidates_per_unit": len(replies),
            },
            "denoise": denoise,
        }
    )
    constraint = Constraint(("True",), {}, "tales")
    unit = Unit(3, 0, "data_creation", "s", constraint, task.seeds, 2, 0, growth=Growth(None, 1))
    scorer = QuestionScorer(config, task, evaluation_texts(config, task))
    made = [Generated(reply, 9, -18.0) for reply in replies]
    return scorer.judge([unit], [made])[0]


def reply(*questions: str) -> str:
    """Return what an LM writes after the opening for these questions."""
    options = {"options": ["True", "False"], "label": "True"}
    items = [json.dumps(options | {"question": question}) for question in questions]
    opened = '{"options": ["True", "False"], "label": "True", "question": "'
    assert items[0].startswith(opened)
    return ", ".join(items)[len(opened) :]


def reasons(found: list[Candidate]) -> list[str | None]:
    return [candidate.reason for candidate in found]


def test_questions_of_seeds_and_evaluation_data_come_back_in_no_form(task: TaskData) -> None:
    held = task.test[0].text
    found = judged(
        task,
        reply(KNOWN.upper() + "?", f"now, {KNOWN}?", f"so, {held}", held[:60], "why not?"),
    )
    wanted = ["copy_of_seed", "copy_of_seed", "contaminated", None, None]
    assert reasons(found) == wanted


def test_the_same_question_twice_in_a_unit_is_dropped_across_replies(task: TaskData) -> None:
    found = judged(task, reply("who am I?", "why not?"), reply("Who am I!", "where to?"))
    assert reasons(found) == [None, None, "duplicate_in_unit", None]


def test_tokens_are_shared_among_the_pieces_of_a_reply(task: TaskData) -> None:
    found = judged(task, reply("who?", "why?"), "no, thanks")
    assert [candidate.num_tokens for candidate in found] == [5, 4, 9]
    assert sum(candidate.logprob for candidate in found) == pytest.approx(-36.0)
    assert [candidate.candidate_id for candidate in found] == [3 << 16 | k for k in range(3)]
    assert reasons(found) == [None, None, "cut_off"]
    assert found[2].text.endswith("no, thanks") and not found[2].target
    assert all(np.isnan(candidate.noise_score) for candidate in found)


def test_a_unit_keeps_no_more_than_its_quota_and_nothing_unlikely(task: TaskData) -> None:
    asked = reply("who?", "why?", "where?")
    assert reasons(judged(task, asked, num_kept_per_unit=2)) == [None, None, "over_quota"]
    assert set(reasons(judged(task, asked, max_surprise=1.5))) == {"unlikely"}


@pytest.mark.parametrize(
    ("duplicates", "near"),
    [("minhash", True), ("normalised", False), ("exact", False), ("none", False)],
)
def test_near_is_what_the_config_says(duplicates: str, near: bool) -> None:
    config = DenoiseConfig.model_validate({"duplicates": duplicates})
    known = NearTexts(config, ["a text", KNOWN])
    assert KNOWN in known and "another" not in known
    assert (f"oh {KNOWN}" in known) == near
    assert "x" not in NearTexts(config, [])


def test_the_published_files_have_no_dev_question_near_a_test_question_of_another() -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "llm_data_creation"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/llm_data_creation")
    rows = (folder / "mcqa_5" / "csqa" / "dev.jsonl").read_text().splitlines()
    questions = [json.loads(row)["question"] for row in rows]
    known = NearTexts(DenoiseConfig(), questions)
    assert all(question in known for question in questions[:50])
