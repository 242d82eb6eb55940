"""Sharing what an encoder wrote among a unit's candidates must not change what is written."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from msp.config import GenerateConfig
from msp.engines import hf_seq2seq
from msp.engines.hf import HFEngine
from msp.engines.hf_shared_seq2seq import SHARING_MODEL_TYPES, SharedSeq2SeqRows

SAMPLED = GenerateConfig(temperature=1.0, top_p=0.95, max_new_tokens=16, batch_size=4)


def make_lm(tiny_t5, model_type):
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(tiny_t5.tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        initializer_factor=1.0,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    model = AutoModelForSeq2SeqLM.from_config(config).eval().requires_grad_(False)
    return dataclasses.replace(tiny_t5, model=model)


@pytest.mark.parametrize("model_type", sorted(SHARING_MODEL_TYPES))
def test_sharing_and_copying_give_the_same_texts(model_type, tiny_t5, make_request, monkeypatch):
    lm = make_lm(tiny_t5, model_type)
    requests = [make_request(i, num_candidates=1 + 3 * i) for i in range(5)]
    steps = count_steps(monkeypatch)
    shared = HFEngine(lm).generate(requests, SAMPLED)
    assert steps
    monkeypatch.setattr(hf_seq2seq, "can_share_encoding", lambda model, cache: False)
    copied = HFEngine(lm).generate(requests, SAMPLED)
    assert [[g.text for g in unit] for unit in shared] == [[g.text for g in u] for u in copied]
    for ours, theirs in zip(shared, copied, strict=True):
        assert [g.logprob for g in ours] == pytest.approx([g.logprob for g in theirs], abs=1e-3)


def test_an_lm_that_is_not_known_to_share_copies(tiny_t5, make_request, monkeypatch):
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        "bart", vocab_size=len(tiny_t5.tokenizer), d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, max_position_embeddings=256, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    model = AutoModelForSeq2SeqLM.from_config(config).eval().requires_grad_(False)
    steps = count_steps(monkeypatch)
    made = HFEngine(dataclasses.replace(tiny_t5, model=model)).generate([make_request(1)], SAMPLED)
    assert len(made[0]) == 3 and not steps


def count_steps(monkeypatch):
    """A list that grows with each step of shared rows."""
    steps, step = [], SharedSeq2SeqRows.step

    def counted(rows, tokens):
        steps.append(len(tokens))
        return step(rows, tokens)

    monkeypatch.setattr(SharedSeq2SeqRows, "step", counted)
    return steps
