"""The fine-tuned student: the body learns, shares add up to whole batches, seeds decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from msp.config import StudentConfig
from msp.models.encoder import load_encoder
from msp.students.examples import training_set
from msp.students.finetune import Workers, finetuned_probabilities, train_finetuned

LABELS = ("how", "spa", "breakfast", "never")


def train(examples, path: Path, *, steps: int = 40, workers: Workers | None = None):
    config = StudentConfig(
        kind="finetune", num_steps=steps, batch_size=8, encoder_learning_rate=3e-3
    )
    encoder = load_encoder(str(path), device="cpu")
    before = next(encoder.body.parameters()).detach().clone()
    arm = training_set(examples, (), labels=LABELS, config=config, seed=1)
    student = train_finetuned(config, arm, encoder, seed=3, workers=workers or Workers())
    return student, encoder, before


def test_the_whole_body_learns_the_toy_task(toy_examples, tiny_llama_path) -> None:
    student, encoder, before = train(toy_examples, tiny_llama_path)
    texts = [example.text for example in toy_examples]
    gold = np.array([[label in e.attributes for label in LABELS] for e in toy_examples])
    probabilities = finetuned_probabilities(student, encoder, texts)
    assert probabilities[gold].mean() > probabilities[~gold].mean() + 0.3
    assert not torch.equal(next(student.body.parameters()), before)


def test_the_same_seed_gives_the_same_student(toy_examples, tiny_llama_path) -> None:
    made = [train(toy_examples, tiny_llama_path, steps=5) for _ in range(2)]
    first, second = (finetuned_probabilities(s, e, ["spa", "", "how"]) for s, e, _ in made)
    assert first.shape == (3, 4) and np.array_equal(first, second)


def test_batches_of_empty_texts_and_no_texts_get_an_answer(toy_examples, tiny_llama_path) -> None:
    student, encoder, _ = train(toy_examples, tiny_llama_path, steps=1)
    assert finetuned_probabilities(student, encoder, []).shape == (0, 4)
    assert not np.isnan(finetuned_probabilities(student, encoder, ["", ""])).any()


@pytest.mark.parametrize("world_size", [2, 4])
def test_workers_share_every_batch_without_gap_or_overlap(
    toy_examples, tiny_llama_path, world_size
) -> None:
    seen: list[int] = []

    def count(module):
        module.register_forward_pre_hook(
            lambda _, __, tokens: seen.append(len(tokens["input_ids"])), with_kwargs=True
        )
        return module

    for rank in range(world_size):
        train(toy_examples, tiny_llama_path, steps=2, workers=Workers(rank, world_size, count))
    assert seen == [8 // world_size] * (2 * world_size)
