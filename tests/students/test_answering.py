"""The student that writes: it learns worked examples by heart, and is scored by right answers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from msp.config import RunConfig, StudentConfig
from msp.errors import CheckpointError, TaskDataError
from msp.records import Example
from msp.review.labelling import Reviewable, accepted_example, corrected_example
from msp.storage.store import open_store
from msp.students.answering import Answerer, load_answering
from msp.students.examples import TrainingSet, labelled_texts, nested_subsets, training_set_of
from msp.students.kinds import make_learner
from msp.students.saved import load_student, save_student
from msp.tasks.answers import TESTS, join_answer, on_one_line
from msp.tasks.base import Kind, TaskData
from msp.tasks.ontology import Ontology
from msp.tasks.reviewed import with_reviewed

SUMS = tuple(
    Example(
        f"sum-{n}", join_answer(f"What is {n} plus 1?", f"#### {n + 1}"), target=f"#### {n + 1}"
    )
    for n in range(4)
)


def task(examples: tuple[Example, ...], kind: Kind = "number") -> TaskData:
    return TaskData(Ontology(()), "general", examples, (), examples, "hash", kind=kind)


def learned(path: Path, steps: int, examples: tuple[Example, ...] = SUMS):  # type: ignore[no-untyped-def]
    config = StudentConfig(
        kind="finetune", lm=str(path), num_steps=steps, batch_size=4, encoder_learning_rate=0.01
    )
    learner = make_learner(task(examples), ["standard"])
    assert isinstance(learner, Answerer)
    body = learner.load(config, device="cpu")
    training = training_set_of(task(examples), (), config=config, seed=1)
    return learner, learner.finetune(config, training, body.model, seed=1), body


def split_of(examples: tuple[Example, ...], kind: Kind = "number"):  # type: ignore[no-untyped-def]
    return labelled_texts(examples, (), kind)


def test_a_training_set_has_questions_and_answers_apart() -> None:
    found = split_of(SUMS)
    assert found.texts[0] == "What is 0 plus 1?" and found.targets[0] == "#### 1"


@pytest.mark.parametrize("path", ["tiny_llama_path", "tiny_t5_path"])
def test_it_answers_what_it_has_learned_and_comes_back_from_the_store(
    path: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(path)
    learner, student, body = learned(folder, steps=150)
    split = split_of(SUMS)
    answers = learner.answers(student, split, body.model)
    found = learner.score(([], split_of(())), (answers, split))
    assert found["metrics"]["final_answer_match"] >= 75 and found["first_answers"] == answers
    assert not any(p.requires_grad for p in student.parameters())
    store = open_store(str(tmp_path))
    described = learner.describe("finetune", (str(folder), body.dimension), student, found)
    save_student(store, "augmented", student, described)
    assert load_answering(store, "augmented", device="cpu")(split.texts) == answers
    with pytest.raises(CheckpointError, match="load_answering"):
        load_student(store, "augmented", device="cpu")
    with pytest.raises(CheckpointError, match="not there; msp train makes it"):
        load_answering(store, "seed_only", device="cpu")


def test_the_same_seed_gives_the_same_student(tiny_llama_path: Path) -> None:
    weights = [learned(tiny_llama_path, 3)[1].state_dict() for _ in range(2)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_untaught_one_answers_nothing_right(tiny_llama_path: Path) -> None:
    learner, student, body = learned(tiny_llama_path, steps=1)
    split = split_of(SUMS)
    answers = learner.answers(student, split, body.model)
    assert learner.score(([], split), (answers, split))["metrics"] == {"final_answer_match": 0.0}


def test_an_example_that_the_lm_cannot_hold_is_named(tiny_llama_path: Path) -> None:
    long = Example("x", join_answer("How long is it " * 60, "#### 1"), target="#### 1")
    with pytest.raises(TaskDataError, match=r"has 512 positions; lower task\.max_text_chars"):
        learned(tiny_llama_path, 1, (long,))


@pytest.mark.skipif(sys.platform != "linux", reason="programs are confined by the Linux kernel")
def test_programs_are_scored_by_their_tests_and_one_that_never_ends_is_wrong() -> None:
    checks = on_one_line("assert double(2) == 4\nassert double(0) == 0")
    programs = ["def double(x): return 2 * x", "def double(x): return 4", "while True: pass"]
    examples = tuple(
        Example(str(n), join_answer(f"Double it.{TESTS}{checks}", "pass"), target="pass")
        for n in range(3)
    )
    learner = make_learner(task(examples, "program"), ["standard"])
    split = split_of(examples, "program")
    found = learner.score(([], split), (programs, split))
    assert found["metrics"] == {"pass_at_1": pytest.approx(100 / 3)}


def test_subsets_are_nested_and_do_not_depend_on_order() -> None:
    examples = [Example(str(n), f"text {n}") for n in range(50)]
    found = nested_subsets(examples, [20, 5, 10], seed=1)
    assert [len(found[size]) for size in (5, 10, 20)] == [5, 10, 20]
    assert found[5] == found[10][:5] and found[10] == found[20][:10]
    assert nested_subsets(examples[::-1], [20], seed=1)[20] == found[20]
    assert nested_subsets(examples, [5], seed=2)[5] != found[5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generate": {"method": "msp"}}, "msp works by labels; set it to softsrv or"),
        ({"denoise": {}}, "set distance_weight to 1 and these to 0"),
        ({"student": {"kind": "head"}}, r"set it to finetune \(of student\.lm\)"),
        ({"generate": {"method": "hard_prompt", "num_synthetic": 9}}, "no labels to balance it"),
    ],
)
def test_what_needs_labels_is_refused_where_there_are_none(
    changes: dict[str, object], message: str
) -> None:
    tree = {
        "output_uri": "x",
        "task": {"name": "gsm8k", "path": "x"},
        "generate": {"method": "hard_prompt"},
        "denoise": {"distance_weight": 1, "disagreement_weight": 0},
        "student": {"kind": "finetune"},
    }
    RunConfig.model_validate(tree)
    with pytest.raises(ValueError, match=message):
        RunConfig.model_validate({**tree, **changes})


def test_weights_are_drawn_as_those_of_other_students() -> None:
    made = (Example("m", join_answer("What is 9 plus 1?", "#### 10"), target="#### 10"),)
    found = training_set_of(task(SUMS), made, config=StudentConfig(synthetic_weight=0.5), seed=1)
    assert isinstance(found, TrainingSet) and found.num_synthetic == 1
    assert found.weights.tolist() == [1, 1, 1, 1, 2]


def test_what_reviewers_leave_is_learned_with_the_answer_that_its_text_has() -> None:
    shown = Reviewable(1, 0, 0, "sum-0", "general", (), {}, "2 and 2? Answer: #### 4", "x", None, 0)
    written = task(SUMS)
    mended = corrected_example(
        shown, written, text="2 and 3? Answer: #### 5", attributes=[], values={}
    )
    gold = [accepted_example(shown, written), replace(mended, uid="2"), Example("3", "no answer")]
    found = with_reviewed(written, gold, [])
    assert [example.target for example in found.seeds[-2:]] == ["#### 4", "#### 5"]
    assert len(found.seeds) == len(SUMS) + 2
    with pytest.raises(TaskDataError, match="write a question and its answer"):
        corrected_example(shown, written, text="no answer", attributes=[], values={})
