"""Constrained scoring: each option's log-likelihood, whatever is scored beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig
from msp.engines.base import Question
from msp.engines.choice import LMChooser, render_question
from msp.errors import ConfigError
from msp.models.frozen_lm import FrozenLM, load_frozen_lm

OPTIONS = ("transfer", "transfer fee", "lost card")
QUESTIONS = [
    Question("my card is gone", OPTIONS),
    Question("what does it cost to send money abroad with this account", OPTIONS[::-1]),
    Question("", ("lost card", "fee")),
    *(Question(f"text number {number} " * (1 + number % 5), OPTIONS) for number in range(70)),
]


@pytest.fixture(scope="module", params=["tiny_llama_path", "tiny_t5_path"])
def lm(request: pytest.FixtureRequest) -> FrozenLM:
    path: Path = request.getfixturevalue(request.param)
    return load_frozen_lm(ModelConfig(name=str(path), dtype="float32"), device="cpu")


def log_likelihood(lm: FrozenLM, question: Question, option: str) -> float:
    """What one forward pass over the whole of it says."""
    (prompt,) = lm.files.text_ids([render_question(question)])
    (answer,) = lm.files.target_ids([f" {option}\n"])
    with torch.inference_mode():
        if lm.is_encoder_decoder:
            labels = torch.tensor([answer])
            logits = lm.model(input_ids=torch.tensor([prompt]), labels=labels).logits[0]
        else:
            ids = torch.tensor([[*prompt, *answer]])
            logits = lm.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    said = logits.float().log_softmax(dim=-1)
    return float(said[torch.arange(len(answer)), answer].sum())


def test_a_score_is_the_sum_of_the_log_likelihoods_of_the_options_tokens(lm: FrozenLM) -> None:
    scores = LMChooser(lm).scores(QUESTIONS[:4])
    for question, row in zip(QUESTIONS[:4], scores, strict=True):
        expected = [log_likelihood(lm, question, option) for option in question.options]
        assert row == pytest.approx(expected, abs=1e-3)


def test_an_answer_does_not_depend_on_what_is_asked_with_it(lm: FrozenLM) -> None:
    chooser = LMChooser(lm)
    together = chooser.choose(QUESTIONS)
    assert together == [chooser.choose([question])[0] for question in QUESTIONS]
    backwards = chooser.choose(QUESTIONS[::-1])
    assert together == backwards[::-1]


def test_the_chosen_class_does_not_depend_on_the_order_of_the_shortlist(lm: FrozenLM) -> None:
    (one,) = LMChooser(lm).choose([Question("my card is gone", OPTIONS)])
    (other,) = LMChooser(lm).choose([Question("my card is gone", OPTIONS[::-1])])
    assert OPTIONS[one] == OPTIONS[::-1][other]


def test_a_text_that_does_not_fit_loses_its_last_words(tiny_llama_path: Path) -> None:
    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path)), device="cpu")
    (long,) = LMChooser(lm).scores([Question("word " * 400, OPTIONS)])
    assert len(long) == 3 and all(score < 0 for score in long)
    with pytest.raises(ConfigError, match=r"relabel_shortlist: a question with 40 classes takes"):
        LMChooser(lm).choose([Question("x", tuple(f"a class {i:020d}" for i in range(40)))])


def test_examples_stand_before_the_question_in_its_own_form(lm: FrozenLM) -> None:
    shown = (("where is  it", "lost card"), ("what is the fee", "transfer fee"))
    question = Question("my card", ("transfer fee", "lost card"), shown)
    assert render_question(question) == (
        "Sentence: where is it\nOptions: lost card; transfer fee\nLabel: lost card\n\n"
        "Sentence: what is the fee\nOptions: lost card; transfer fee\nLabel: transfer fee\n\n"
        "Sentence: my card\nOptions: lost card; transfer fee\nLabel:"
    )
    (row,) = LMChooser(lm).scores([question])
    assert row == pytest.approx(
        [log_likelihood(lm, question, option) for option in question.options], abs=1e-3
    )


def test_examples_that_do_not_fit_are_left_out_the_farthest_first(tiny_llama_path: Path) -> None:
    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")
    near, far = ("near " * 10, "lost card"), ("far " * 200, "transfer")
    (cut,), (short,) = (
        LMChooser(lm).scores([Question("my card", OPTIONS, shown)])
        for shown in ((far, near), (near,))
    )
    assert cut == short


def test_nothing_to_ask_has_no_answers(lm: FrozenLM) -> None:
    assert LMChooser(lm).choose([]) == []
