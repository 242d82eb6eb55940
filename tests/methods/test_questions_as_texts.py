"""Methods that write texts write questions with options, too: each as one line of its fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from choice_tasks import write_sets

from msp.config import RunConfig
from msp.errors import TaskDataError
from msp.judging import evaluation_texts, make_scorer
from msp.methods import Opening, find_method, make_plan
from msp.prompts.question_text import with_lines
from msp.records import Candidate, Generated
from msp.storage.store import open_store
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.questions import ChoiceQuestion


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets"))


def config_of(folder: Path, name: str, method: str = "softsrv", **task: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": "unused",
            "task": {"name": name, "path": str(folder), **task},
            "prompts": {"source": "example" if method == "softsrv" else "attributes"},
            "generate": {"method": method, "engine": "scripted", "num_candidates_per_unit": 4},
        }
    )


def judged(config: RunConfig, task: TaskData, texts: Sequence[str]) -> list[Candidate]:
    unit = make_plan(config, task).unit(0)
    scorer = make_scorer(config, task, evaluation_texts(config, task))
    return scorer.judge([unit], [[Generated(text, 9, -18.0) for text in texts]])[0]


def test_a_question_is_a_line_of_its_fields_and_other_texts_are_themselves(folder: Path) -> None:
    tasks = {name: load_task(config_of(folder, name).task, seed=13) for name in ("csqa", "boolq")}
    for name, task in tasks.items():
        for before, after in zip(
            (*task.seeds, *task.dev), (*with_lines(task).seeds, *with_lines(task).dev), strict=True
        ):
            found = ChoiceQuestion.of(before.text, before.target or "")
            fields = after.text.split(" | ")
            if name == "boolq":
                assert fields == [found.context, before.text]
            else:
                assert fields == [before.text, *found.options, found.label]
            assert replace(after, text=before.text) == before
        assert with_lines(task).test == task.test
    plain = replace(tasks["csqa"], questions=None)
    assert with_lines(plain) is plain


@pytest.mark.parametrize("method", ["softsrv", "msp", "hard_prompt"])
def test_a_unit_asks_for_its_seed_examples_answer_and_shows_whole_questions(
    folder: Path, method: str
) -> None:
    config = config_of(folder, "boolq", method)
    task = load_task(config.task, seed=13)
    plan = make_plan(config, task)
    seeds = {seed.uid: seed for seed in task.seeds}
    units = [plan.unit(i) for i in range(plan.num_units)]
    assert {unit.constraint.attributes for unit in units} == {("True",), ("False",)}
    for unit in units:
        assert unit.constraint.attributes == seeds[unit.seed_uid].attributes
        assert all(" are alike. | Is " in shown.text for shown in unit.exemplars)


def test_a_line_becomes_a_question_with_its_seed_examples_answer(folder: Path) -> None:
    config = config_of(folder, "boolq")
    task = load_task(config.task, seed=13)
    answer = make_plan(config, task).unit(0).constraint.attributes[0]
    held, seed = task.test[0].text, task.seeds[0].text
    found = judged(
        config,
        task,
        [
            "Bells are made of bronze. | are bells made of metal",
            "are bells made of metal",
            f"Bells are loud. | {held}",
            f"Bells are loud. | {seed}",
            "",
        ],
    )
    assert [candidate.reason for candidate in found] == [
        None, "wrong_fields", "contaminated", "copy_of_seed", "no_item",
    ]  # fmt: skip
    kept = ChoiceQuestion.of(found[0].text, found[0].target)
    assert kept == ChoiceQuestion(
        "are bells made of metal", "Bells are made of bronze.", ("True", "False"), answer
    )


def test_options_of_a_questions_own_are_written_with_it(folder: Path) -> None:
    config = config_of(folder, "csqa")
    task = load_task(config.task, seed=13)
    found = judged(config, task, ["where | a | b | c | d | e | c", "when | a | b | c"])
    assert [candidate.reason for candidate in found] == [None, "wrong_number_of_options"]
    kept = ChoiceQuestion.of(found[0].text, found[0].target)
    assert (sorted(kept.options), kept.label) == (["a", "b", "c", "d", "e"], "c")


def test_long_passages_count_for_the_limit_on_a_texts_length(folder: Path) -> None:
    everything = load_task(config_of(folder, "boolq").task, seed=13)
    longest = max(len(seed.text) for seed in everything.seeds)
    with pytest.raises(TaskDataError, match="has no seed example"):
        load_task(config_of(folder, "boolq", max_text_chars=longest).task, seed=13)


def test_the_scripted_engine_writes_yes_or_no_questions_for_any_such_method(folder: Path) -> None:
    config = config_of(folder, "strategyqa")
    task = load_task(config.task, seed=13)
    plan = make_plan(config, task)
    units = [plan.unit(i) for i in range(plan.num_units)]
    writer = find_method(config).open_writer(Opening(config, task, open_store("unused")))
    made = make_scorer(config, task, evaluation_texts(config, task)).judge(
        units, writer.write(units)
    )
    kept = [(unit, one) for unit, row in zip(units, made, strict=True) for one in row if one.kept]
    assert kept
    for unit, one in kept:
        assert ChoiceQuestion.of(one.text, one.target).label == unit.constraint.attributes[0]
