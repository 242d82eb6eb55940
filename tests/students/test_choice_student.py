"""Students of questions with options: what they read, learn and answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from msp.config import StudentConfig
from msp.models.encoder import load_encoder
from msp.records import Example
from msp.storage.store import open_store
from msp.students.choice import ChoiceTexts, Chooser, choice_loss, questions_of
from msp.students.examples import TrainingSet, labelled_texts, training_set_of
from msp.students.kinds import make_learner
from msp.students.saved import load_student, save_student
from msp.students.score import score_choices
from msp.tasks.base import QuestionForm, TaskData
from msp.tasks.questions import ChoiceQuestion, ontology_of

FRUIT = ("apple", "plum", "pear")
CONFIG = StudentConfig(num_steps=150, batch_size=8, hidden_size=32, embedding_noise=0.0)


def question(number: int, *, size: int = 3, context: str | None = None) -> Example:
    options = [FRUIT[(number + k) % 3] for k in range(size)]
    label = "apple" if "apple" in options else options[0]
    asked = ChoiceQuestion(f"which is red, number {number}?", context, tuple(options), label)
    return Example(f"q-{number}", asked.question, ("question",), {}, "fruit", asked.target)


@pytest.fixture
def task() -> TaskData:
    form = QuestionForm(3)
    seeds, test = ([question(n) for n in numbers] for numbers in (range(12), range(20, 32)))
    return TaskData(
        ontology_of(form), "fruit", tuple(seeds), (), tuple(test), "h", kind="choice",
        questions=form,
    )  # fmt: skip


def learned_from(task: TaskData) -> TrainingSet:
    return training_set_of(task, (), config=CONFIG, seed=1)


def test_texts_are_listed_question_by_question() -> None:
    texts = ChoiceTexts.of([ChoiceQuestion("q", None, ("a", "b"), "a"),
                            ChoiceQuestion("r", "c", ("d", "e", "f"), "e")])  # fmt: skip
    assert texts.texts == ["q", "", "a", "b", "r", "c", "d", "e", "f"]
    assert texts.starts.tolist() == [0, 4] and texts.sizes.tolist() == [2, 3]


def test_what_a_head_reads_has_a_row_for_each_option_and_says_which_are_padding() -> None:
    texts = ChoiceTexts.of([ChoiceQuestion("q", None, ("a", "b"), "a"),
                            ChoiceQuestion("r", "c", ("d", "e", "f"), "e")])  # fmt: skip
    vectors = torch.nn.functional.normalize(torch.randn(9, 16), dim=1)
    vectors[1] = 0.0
    inputs, there = texts.inputs(vectors, torch.tensor([0, 1]))
    assert inputs.shape == (2, 3, 96) and there.tolist() == [[True, True, False], [True] * 3]
    scale = 6**0.5
    assert torch.allclose(inputs[1, 2, :16] * scale, vectors[8])
    assert torch.allclose(inputs[1, 2, 48:64] * scale, 4 * vectors[4] * vectors[8])
    assert not inputs[0, :, 32:48].any() and not inputs[0, :, 64:].any()


def test_padding_is_never_the_answer() -> None:
    scores = torch.tensor([[1.0, 2.0, 99.0]])
    there = torch.tensor([[True, True, False]])
    loss = choice_loss(scores, there, torch.tensor([1]))
    assert loss == pytest.approx(float(torch.log1p(torch.exp(torch.tensor(-1.0)))))


def test_a_head_learns_which_option_is_right_and_comes_back_from_the_store(
    task: TaskData, tiny_llama_path: Path, tmp_path: Path
) -> None:
    learner = make_learner(task, ("standard",))
    assert isinstance(learner, Chooser)
    encoder = load_encoder(str(tiny_llama_path), device="cpu")
    training = learned_from(task)
    test = labelled_texts(task.test, learner.labels, task.kind)
    features = list(encoder.encode(learner.inputs(training)))
    head = learner.train_head(CONFIG, training, features, seed=1)
    said = learner.answers(head, test, list(encoder.encode(learner.inputs(test))))
    scores = learner.score(([], test), (said, test))
    assert scores["metrics"] == {"accuracy": 100.0}
    store = open_store(str(tmp_path / "run"))
    described = learner.describe("head", (str(tiny_llama_path), encoder.dimension), head, scores)
    save_student(store, "augmented", head, described)
    student = load_student(store, "augmented", device="cpu")
    assert student.answer(questions_of(test)) == said and student.answer([]) == []


def test_a_finetuned_student_reads_each_option_with_its_question(
    task: TaskData, tiny_t5_path: Path, tmp_path: Path
) -> None:
    config = StudentConfig(kind="finetune", num_steps=3, batch_size=4)
    learner = make_learner(task, ("standard",))
    encoder = load_encoder(str(tiny_t5_path), device="cpu")
    module = learner.finetune(config, learned_from(task), encoder, seed=1)
    mixed = [question(0, size=2, context="a tale"), question(1)]
    split = labelled_texts(mixed, learner.labels, "choice")
    said = learner.answers(module, split, encoder)
    assert len(said) == 2 and said[0] in FRUIT[:2]
    store = open_store(str(tmp_path / "run"))
    save_student(
        store,
        "seed_only",
        module,
        learner.describe("finetune", (str(tiny_t5_path), 32), module, {}),
    )
    assert load_student(store, "seed_only", device="cpu").answer(questions_of(split)) == said


def test_a_student_may_learn_from_synthetic_examples_alone(task: TaskData) -> None:
    made = [replace(question(50 + n), uid=f"s-{n}") for n in range(5)]
    alone = training_set_of(task, made, config=CONFIG, seed=1, with_real=False)
    assert alone.texts == tuple(e.text for e in made) and alone.num_synthetic == 5
    assert np.all(alone.weights == alone.weights[0])
    both = training_set_of(task, made, config=CONFIG, seed=1)
    assert len(both.texts) == len(task.seeds) + 5


def test_parts_for_a_learning_curve_lie_within_each_other(task: TaskData) -> None:
    whole = learned_from(task)
    parts = [whole.first(percent, seed=5) for percent in (10, 50, 90, 100)]
    assert [len(part.texts) for part in parts] == [2, 6, 11, 12]
    for small, large in pairwise(parts):
        assert {*small.texts} <= {*large.texts}
        assert len(small.targets) == len(small.weights) == len(small.gold) == len(small.texts)
    assert parts[-1].content_hash == whole.content_hash


def test_accuracy_counts_answers_and_each_fixed_one_has_its_f1() -> None:
    said, right = ["True", "True", "False", "True"], ["True", "False", "False", "True"]
    found = score_choices(said, right, ("True", "False"))
    assert found["metrics"] == {"accuracy": 75.0}
    assert found["per_attribute"] == pytest.approx({"True": 80.0, "False": 200 / 3})
    assert score_choices(["a"], ["b"], ("question",))["per_attribute"] == {}
