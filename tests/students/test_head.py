"""The head student: it learns, and its seed alone decides how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from msp.models.encoder import SentenceEncoder, load_encoder
from msp.students.examples import TrainingSet, training_set
from msp.students.head import head_probabilities, train_head

LABELS = ("how", "spa", "breakfast", "never")


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return load_encoder("minilm", device="cpu")


@pytest.fixture
def toy_set(toy_examples, toy_config) -> TrainingSet:
    return training_set(toy_examples, (), labels=LABELS, config=toy_config, seed=1)


def test_a_head_learns_what_the_embeddings_tell(toy_set, toy_config, minilm) -> None:
    head = train_head(toy_config, toy_set, minilm.encode(toy_set.texts), seed=1)
    unseen = minilm.encode(["the spa is nice", "when do you serve breakfast"])
    said = head_probabilities(head, unseen)[:, 1:3]
    assert said[0, 0] > said[0, 1] + 0.2 and said[1, 1] > said[1, 0] + 0.2


def test_the_same_seed_gives_the_same_head_and_another_seed_another(
    toy_set, toy_config, minilm
) -> None:
    embeddings = minilm.encode(toy_set.texts)
    torch.manual_seed(99)
    first = head_probabilities(train_head(toy_config, toy_set, embeddings, seed=1), embeddings)
    torch.manual_seed(100)
    again = head_probabilities(train_head(toy_config, toy_set, embeddings, seed=1), embeddings)
    other = head_probabilities(train_head(toy_config, toy_set, embeddings, seed=2), embeddings)
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_both_arms_start_from_the_same_weights(toy_examples, toy_set, toy_config, minilm) -> None:
    still = toy_config.model_copy(update={"num_steps": 1, "learning_rate": 1e-12})
    augmented = training_set(toy_examples, toy_examples, labels=LABELS, config=still, seed=1)
    heads = [
        train_head(still, arm, minilm.encode(arm.texts), seed=4) for arm in (toy_set, augmented)
    ]
    weights = [head.hidden.weight.detach().numpy() for head in heads]
    assert weights[0] == pytest.approx(weights[1], abs=1e-6)


def test_training_leaves_the_callers_random_state_alone(toy_set, toy_config, minilm) -> None:
    embeddings = minilm.encode(toy_set.texts)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_head(toy_config, toy_set, embeddings, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_embeddings_in_read_only_memory_can_be_learned_from(toy_set, toy_config, minilm) -> None:
    embeddings = minilm.encode(toy_set.texts)
    embeddings.flags.writeable = False
    few = toy_config.model_copy(update={"num_steps": 2})
    head = train_head(few, replace(toy_set), embeddings, seed=1)
    assert head_probabilities(head, embeddings).shape == (8, 4)
    assert head_probabilities(head, embeddings[:0]).shape == (0, 4)


def test_noise_is_for_training_alone(toy_set, toy_config, minilm) -> None:
    embeddings = minilm.encode(toy_set.texts)
    head = train_head(toy_config, toy_set, embeddings, seed=1)
    first, second = (head_probabilities(head, embeddings) for _ in range(2))
    assert head.noise == toy_config.embedding_noise and np.array_equal(first, second)
