"""One formatting example, the request that shows it, and what may not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from choice_tasks import Rounds, run_config, write_sets
from pydantic import ValidationError

from msp.config import RunConfig
from msp.errors import ConfigError, ConstraintError
from msp.methods import find_method, make_plan
from msp.prompts.question_text import opening, render_lines, render_request
from msp.records import Unit
from msp.tasks import load_task
from msp.tasks.questions import ChoiceQuestion


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets"))


def first_unit(config: RunConfig) -> Unit:
    return make_plan(config, load_task(config.task, seed=config.seed)).unit(0)


def rendered(config: RunConfig) -> str:
    unit = first_unit(config)
    form = load_task(config.task, seed=config.seed).questions
    assert form is not None
    return render_request(unit, unit.exemplars, form=form)


OWN = {"question": "Is ice cold?", "options": ["True", "False"], "label": True}


def test_a_request_shows_one_example_and_opens_the_next(folder: Path) -> None:
    _, line = rendered(run_config(folder, "csqa")).split("\n")
    shown, _, opened = line.rpartition(", {")
    (example,) = json.loads(f"{shown}]")
    assert list(example) == ["question", "options", "label"]
    assert opened == '"question": "'


def test_where_options_are_fixed_the_answer_comes_before_its_question(folder: Path) -> None:
    config = run_config(folder, "boolq", example={**OWN, "context": "Ice is frozen."})
    asked = first_unit(config).constraint.attributes[0]
    line = rendered(config).split("\n")[1]
    assert line == (
        '[{"options": ["True", "False"], "label": "True", "context": "Ice is frozen.", "question": '
        '"Is ice cold?"}, {"options": ["True", "False"], '
        f'"label": "{asked}", "context": "'
    )
    assert line.endswith(opening((asked,), load_task(config.task, seed=13).questions))


def test_lines_are_those_that_the_lm_knows_from_every_other_context(folder: Path) -> None:
    config = run_config(folder, "strategyqa", format="lines", example=OWN)
    task = load_task(config.task, seed=13)
    unit = make_plan(config, task).unit(0)
    assert render_lines(unit, unit.exemplars, form=task.questions, ontology=task.ontology) == (
        "Utterances in the strategyqa domain:\n1) true: Is ice cold?\n2) "
        f"{unit.constraint.attributes[0].lower()}:"
    )
    own = {"question": "Where | is it?", "options": list("abcde"), "label": "b"}
    config = run_config(folder, "csqa", format="lines", example=own)
    task = load_task(config.task, seed=13)
    unit = make_plan(config, task).unit(0)
    said = render_lines(unit, unit.exemplars, form=task.questions, ontology=task.ontology)
    assert said.splitlines()[0].startswith("Every line is a question, its 5 options")
    assert said.splitlines()[2:] == ["1) question: Where / is it? | a | b | c | d | e | b",
                                     "2) question:"]  # fmt: skip


@pytest.mark.parametrize("name", ["csqa", "strategyqa", "boolq"])
def test_a_set_grows_of_lines_as_of_lists(folder: Path, name: str) -> None:
    run = Rounds(run_config(folder, name, format="lines")).grow()
    assert sum(count.accepted for count in run.census.values()) >= 60
    reasons = {reason for count in run.census.values() for reason in count.reasons}
    wanted = {"csqa": "wrong_number_of_options", "strategyqa": "no_item", "boolq": "wrong_fields"}
    assert reasons == {wanted[name]}
    asked = [ChoiceQuestion.of(c.text, c.target) for c in run.kept.values()]
    assert all((q.context is not None) == (name == "boolq") for q in asked)


def test_the_formatting_example_is_drawn_by_seed_where_none_is_given(folder: Path) -> None:
    config = run_config(folder, "csqa")
    seeds = [
        first_unit(config.model_copy(update={"seed": seed})).exemplars[0].uid for seed in range(20)
    ]
    assert len(set(seeds)) > 5
    assert first_unit(config) == first_unit(config)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({**OWN, "label": "maybe"}, "label 'maybe', which is not among its options; use one of"),
        ({**OWN, "options": ["True"]}, "example.options"),
    ],
)
def test_an_example_without_a_right_option_is_refused(
    folder: Path, example: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        run_config(folder, "strategyqa", example=example)


@pytest.mark.parametrize(
    ("name", "example", "message"),
    [
        ("strategyqa", {**OWN, "options": ["yes", "no"], "label": "yes"}, "always"),
        ("csqa", OWN, "has 2 options .* has 5"),
        ("boolq", OWN, "context is None"),
    ],
)
def test_an_example_of_another_form_is_refused(
    folder: Path, name: str, example: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^generate\.data_creation\.example: .*{message}"):
        first_unit(run_config(folder, name, example=example))


def test_method_and_task_go_together(folder: Path, plants_path: Path) -> None:
    config = run_config(folder, "csqa")
    other = config.model_copy(
        update={"generate": config.generate.model_copy(update={"method": "eda"})}
    )
    with pytest.raises(
        ConfigError, match="questions with options, which it cannot write; set it to one of msp,"
    ):
        first_unit(other)
    task = load_task(
        config.task.model_copy(update={"name": "jsonl", "path": str(plants_path)}), seed=13
    )
    with pytest.raises(ConfigError, match="writes questions with options, but the examples"):
        make_plan(config, task)


def test_settings_that_would_do_nothing_are_refused(folder: Path) -> None:
    with pytest.raises(ValidationError, match="num_synthetic is not set; say how many"):
        run_config(folder, "csqa", generate={"num_synthetic": None, "balance": "seed"})
    with pytest.raises(ValidationError, match="method msp does not know"):
        run_config(folder, "csqa", strategy="naive", generate={"method": "msp"})


def test_an_example_that_does_not_fit_the_lm_is_named(folder: Path, tiny_llama_path: Path) -> None:
    config = run_config(folder, "csqa", generate={"engine": "hf"})
    config = config.model_copy(
        update={"model": config.model.model_copy(update={"name": str(tiny_llama_path)})}
    )
    task = load_task(config.task, seed=13)
    with pytest.raises(ConstraintError, match=r"positions, but .* give a shorter one"):
        find_method(config).check(config, task)


def test_options_of_its_own_come_in_an_order_drawn_by_id(folder: Path) -> None:
    run = Rounds(run_config(folder, "csqa", generate={"num_synthetic": 200})).grow()
    asked = [ChoiceQuestion.of(c.text, c.target) for c in run.kept.values()]
    places = [question.options.index(question.label) for question in asked]
    assert {places.count(k) > len(places) / 8 for k in range(5)} == {True}
    assert all(sorted(q.options) == sorted({*q.options}) for q in asked)
