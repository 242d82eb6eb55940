"""MAUVE, memorisation, correctness and perplexity are what their definitions say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from msp.denoise.contamination import EvaluationTexts
from msp.metrics.correctness import attribute_f1, decisions, presence_matrix
from msp.metrics.mauve import mauve
from msp.metrics.memorisation import memorisation


def cloud(centre: float, num: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(num, 16)) + centre * np.eye(16)[0]
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_mauve_is_high_for_one_distribution_and_low_for_two() -> None:
    same = mauve(cloud(0.0), cloud(0.0, seed=1), seed=0)
    near = mauve(cloud(0.0), cloud(1.0, seed=1), seed=0)
    far = mauve(cloud(-6.0), cloud(6.0, seed=1), seed=0)
    assert same is not None and near is not None and far is not None
    assert same > 0.9 and far < 0.05 and far < near < same


def test_mauve_of_a_set_with_itself_is_one_and_of_too_few_texts_is_none() -> None:
    points = cloud(0.0)
    assert mauve(points, points, seed=0) == pytest.approx(1.0, abs=1e-3)
    assert mauve(points[:19], points, seed=0) is None


def test_mauve_does_not_change_when_the_two_sets_change_places() -> None:
    one, other = cloud(0.0), cloud(1.0, seed=1)
    assert mauve(one, other, seed=0) == pytest.approx(mauve(other, one, seed=0), abs=0.1)


def test_memorisation_counts_copies_and_neighbours() -> None:
    vectors = np.eye(4)
    found = memorisation(
        ["Hello there!", "pool hours", "gym", "spa"],
        np.stack([vectors[0], vectors[1], vectors[2], (vectors[0] + vectors[3]) / 2**0.5]),
        seeds=(["hello there", "the bar"], np.stack([vectors[0], vectors[3]])),
        evaluation=EvaluationTexts(["Pool hours?"]),
    )
    assert found["copied_seed_share"] == found["evaluation_overlap_share"] == 0.25
    assert found["near_seed_share"] == 0.25
    assert found["nearest_seed_similarity"] == pytest.approx((1 + 0 + 0 + 2**-0.5) / 4)


matrices = st.lists(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=3), min_size=1
)


@given(matrices)
def test_attribute_f1_is_scikit_learns_micro_f1(rows: list[list[tuple[bool, bool]]]) -> None:
    both = np.array(rows)
    asked, found = both[:, :, 0], both[:, :, 1]
    expected = 100 * f1_score(asked, found, average="micro", zero_division=0)
    assert attribute_f1(asked, found) == pytest.approx(expected)


def test_decisions_are_one_label_or_all_likelier_than_not() -> None:
    probabilities = np.array([[0.4, 0.3, 0.3], [0.6, 0.7, 0.1]])
    assert decisions(probabilities, is_single=True).tolist() == [
        [True, False, False],
        [False, True, False],
    ]
    assert decisions(probabilities, is_single=False).tolist() == [
        [False, False, False],
        [True, True, False],
    ]
    assert presence_matrix([["b", "other"], []], ["a", "b"]).tolist() == [
        [False, True],
        [False, False],
    ]


def test_perplexity_is_the_exponential_of_the_mean_loss_of_all_tokens(
    tiny_llama_path: object,
) -> None:
    import torch

    from msp.config import ModelConfig
    from msp.models.frozen_lm import load_frozen_lm
    from msp.models.perplexity import perplexity

    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path)))
    texts = ["pool", "where is the gym, please?", ""]
    nats, count = 0.0, 0
    for ids in lm.files.text_ids(texts[:2]):
        row = torch.tensor([[lm.tokenizer.bos_token_id, *ids]])
        loss = lm.model(input_ids=row, labels=row).loss
        nats, count = nats + float(loss) * len(ids), count + len(ids)
    assert perplexity(lm, texts) == pytest.approx(math.exp(nats / count), rel=1e-4)
    assert perplexity(lm, [""]) is None


def test_perplexity_of_an_encoder_decoder_is_refused(tiny_t5_path: object) -> None:
    from msp.config import ModelConfig
    from msp.errors import CheckpointError
    from msp.models.frozen_lm import load_frozen_lm
    from msp.models.perplexity import perplexity

    with pytest.raises(CheckpointError, match="name a causal LM"):
        perplexity(load_frozen_lm(ModelConfig(name=str(tiny_t5_path))), ["x"])
