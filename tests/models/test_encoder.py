"""The sentence encoder: order, padding and length change nothing; what is missing is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from msp.errors import CheckpointError
from msp.models.encoder import SentenceEncoder, load_encoder, mean_pool

TEXTS = ["how do i check out", "", "is there a spa near the hotel that opens late?", "spa", "?"]


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return load_encoder("minilm", device="cpu")


def test_vectors_have_length_one_and_stand_in_the_order_of_the_texts(minilm) -> None:
    vectors = minilm.encode(TEXTS, batch_size=2)
    assert vectors.shape == (5, 384) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert minilm.encode([text])[0] == pytest.approx(vector, abs=1e-5)


def test_like_meanings_are_nearer_than_unlike_ones(minilm) -> None:
    asked, like, unlike = minilm.encode(
        ["when is breakfast", "what time do you serve breakfast", "it rained in may"]
    )
    assert asked @ like > asked @ unlike + 0.2


def test_no_texts_give_no_vectors(minilm) -> None:
    assert minilm.encode([]).shape == (0, 384)


def test_a_huge_text_is_cut_at_the_length_the_encoder_was_trained_with(minilm) -> None:
    assert minilm.max_tokens == 256
    assert minilm.tokenize(["word " * 50_000])["input_ids"].shape == (1, 256)
    cut, longer = minilm.encode(["word " * 254, "word " * 300])
    assert cut == pytest.approx(longer, abs=1e-5)


def test_encoding_leaves_a_body_in_training_as_it_was(minilm) -> None:
    minilm.body.train()
    first, second = minilm.encode(["spa"]), minilm.encode(["spa"])
    assert minilm.body.training and np.array_equal(first, second)
    minilm.body.eval()


def test_gradients_reach_the_body_through_embed(minilm) -> None:
    minilm.embed(["spa", "check out"]).sum().backward()
    weight = next(minilm.body.parameters())
    assert weight.grad is not None and weight.grad.abs().sum() > 0
    minilm.body.zero_grad()


def test_a_text_without_any_token_is_the_zero_vector(tiny_llama_path: Path) -> None:
    encoder = load_encoder(str(tiny_llama_path), device="cpu")
    vectors = encoder.encode(["", "spa"])
    assert not vectors[0].any() and np.linalg.norm(vectors[1]) == pytest.approx(1.0, abs=1e-5)
    assert not encoder.encode([""]).any()


def test_a_seq2seq_checkpoint_lends_its_encoder(tiny_t5_path: Path) -> None:
    assert load_encoder(str(tiny_t5_path), device="cpu").encode(TEXTS).shape == (5, 32)


@pytest.mark.parametrize("name", ["/no/such/folder", "./encoder", "~/encoder", "a/b/c", "minilmm"])
def test_what_looks_like_a_path_and_is_not_there_is_named(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"encoder .* is not there; name an existing folder"):
        load_encoder(name)


def test_a_folder_without_a_checkpoint_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"folder without config\.json"):
        load_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="does not load"):
        load_encoder(str(tmp_path))


def test_pooling_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [100.0]], [[7.0], [7.0], [7.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    assert mean_pool(hidden, mask).tolist() == [[2.0], [0.0]]
