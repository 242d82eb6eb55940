"""What hard prompts and in-context learning show an LM, and what is made of its answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from making_over import opening_of

from msp.config import ModelConfig, TaskConfig
from msp.methods import find_method, make_plan
from msp.methods.forms import answer, described, plain, reasoned
from msp.methods.lm_writers import with_text_alone
from msp.prompts.text import constraint_of
from msp.records import Attribute, Constraint, Example
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(TaskConfig(name="jsonl", path="sample:front_desk"), seed=13)


@pytest.fixture(scope="module")
def valued(task: TaskData) -> Example:
    return next(example for example in task.seeds if example.values and example.attributes)


def test_descriptions_stand_before_what_soft_prompts_are_followed_by(
    task: TaskData, valued: Example
) -> None:
    constraint = constraint_of(valued)
    text = described(constraint, [valued], task.ontology)
    first, rest = text.split("\nUtterances in the ")
    assert plain(constraint, [valued], task.ontology) == f"Utterances in the {rest}"
    names = [*valued.attributes, *valued.values]
    assert len(first.splitlines()) == len(names)
    wanted = {a.description for a in task.ontology.all if a.name in names}
    assert {line.partition(": ")[2] for line in first.splitlines()} == wanted


def test_a_label_without_a_description_has_no_line(task: TaskData, valued: Example) -> None:
    bare = Ontology((Attribute("wifi", "wifi"), Attribute("spa", "a place\nto rest")))
    text = described(Constraint(("wifi", "spa"), {}, "d"), (), bare)
    assert text.startswith("spa: a place to rest\nUtterances") and "wifi: wifi" not in text


def test_reasoning_names_what_the_text_carries_and_ends_in_a_marker(
    task: TaskData, valued: Example
) -> None:
    asked = Constraint(("wifi",), {}, valued.domain)
    shown = reasoned(asked, [valued], task.ontology).splitlines()[1]
    assert all(f'"{text}"' in shown for found in valued.values.values() for text in found)
    assert answer(shown) == valued.text
    assert reasoned(asked, [valued], task.ontology).endswith("2) wifi:")


@pytest.mark.parametrize(
    ("written", "text"),
    [("express wifi => is it free?", "is it free?"), ("a => b => c", "b"), ("no end", "")],
)
def test_an_answer_is_what_follows_the_marker_once(written: str, text: str) -> None:
    assert answer(written) == text


@pytest.mark.parametrize("style", ["base", "chain_of_thought"])
def test_in_context_writes_texts_without_their_reasoning(tmp_path: Path, style: str) -> None:
    opening = opening_of(
        tmp_path, method="in_context", engine="scripted", in_context_style=style, max_new_tokens=80
    )
    plan = make_plan(opening.config, opening.task)
    units = [plan.unit(i) for i in range(40)]
    written = find_method(opening.config).open_writer(opening).write(units)
    texts = [text.text for of_unit in written for text in of_unit]
    assert not any("=>" in text or text.startswith("express") for text in texts)
    assert sum(bool(text) for text in texts) > 0.7 * len(texts)


def test_without_soft_prompts_the_whole_context_is_for_exemplars(
    tmp_path: Path, tiny_llama_path: Path
) -> None:
    opening = opening_of(tmp_path, method="hard_prompt")
    prompts = opening.config.prompts.model_copy(update={"instruction_length": 400})
    model = ModelConfig(name=str(tiny_llama_path))
    config = opening.config.model_copy(update={"prompts": prompts, "model": model})
    unit = make_plan(config, opening.task).unit(3)
    writer = with_text_alone(replace(opening, config=config))
    (request,) = writer._requests([unit])
    assert request.soft is None and request.context.count("\n") >= 2
    # A token a byte: what 400 soft positions would leave of 512.
    assert len(request.context) > 512 - 400
