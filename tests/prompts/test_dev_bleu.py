"""BLEU on dev is of greedy texts, the same each time, and absent where there is nothing to make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from msp.config import RunConfig
from msp.models.frozen_lm import FrozenLM
from msp.prompts.dev_bleu import DevBleu, sample_dev
from msp.prompts.encode import ExampleEncoder
from msp.prompts.initialisers import initial_prompts
from msp.records import Example
from msp.tasks.base import TaskData

CONFIG = RunConfig.model_validate(
    {
        "output_uri": "unused",
        "task": {"name": "jsonl", "path": "unused"},
        "generate": {"max_new_tokens": 12},
    }
)


def dev_bleu(lm: FrozenLM, task: TaskData, config: RunConfig = CONFIG) -> DevBleu:
    encoder = ExampleEncoder(lm.files, config.prompts, task.ontology, task.seeds, config.seed)
    return DevBleu(lm, encoder, task, config)


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_the_score_is_the_same_each_time(
    name: str, task: TaskData, request: pytest.FixtureRequest
) -> None:
    lm = request.getfixturevalue(name)
    soft = initial_prompts(lm, task.ontology, CONFIG.prompts, seed=1)
    bleu = dev_bleu(lm, task)
    score = bleu.score(soft)
    assert score is not None and 0.0 <= score <= 100.0
    assert bleu.score(soft) == score == bleu.score(soft, num_workers=2, in_step=True)


def test_without_dev_examples_or_generations_there_is_no_score(
    llama: FrozenLM, task: TaskData
) -> None:
    soft = initial_prompts(llama, task.ontology, CONFIG.prompts, seed=1)
    none = CONFIG.model_copy(
        update={"tune": CONFIG.tune.model_copy(update={"max_dev_generations": 0})}
    )
    assert dev_bleu(llama, task, none).score(soft) is None
    assert dev_bleu(llama, replace(task, dev=())).score(soft) is None


def test_a_dev_example_that_leaves_no_room_is_not_generated_for(
    llama: FrozenLM, task: TaskData
) -> None:
    soft = initial_prompts(llama, task.ontology, CONFIG.prompts, seed=1)
    long = Example("d2", "x", ("how",), {"time": ("soon " * 90,)}, "front_desk")
    expected = dev_bleu(llama, task).score(soft)
    assert dev_bleu(llama, replace(task, dev=(*task.dev, long))).score(soft) == expected


def test_a_sample_of_dev_is_the_same_for_the_same_seed_and_in_order() -> None:
    examples = [Example(f"e{i}", f"text {i}", ("a",)) for i in range(50)]
    drawn = sample_dev(examples, 10, seed=3)
    assert drawn == sample_dev(examples, 10, seed=3) != sample_dev(examples, 10, seed=4)
    assert len(drawn) == 10 and drawn == sorted(drawn, key=examples.index)
    assert sample_dev(examples, 60, seed=3) == examples
