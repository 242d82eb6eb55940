"""Sharing a prompt's keys and values among its candidates must not change what is written."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from msp.config import GenerateConfig
from msp.engines import hf_causal
from msp.engines.hf import HFEngine
from msp.engines.hf_shared import SHARING_MODEL_TYPES, Seats, can_share

SAMPLED = GenerateConfig(temperature=1.0, top_p=0.95, max_new_tokens=16, batch_size=4)
GREEDY = SAMPLED.model_copy(update={"temperature": 1e-3})
NOT_SHARING = ["bloom", "gemma2", "gpt2", "gpt_neox"]
SLIDING = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}


def make_lm(tiny_llama, model_type, **options):
    """A two-layer LM of a type, with two heads to a key head where the type knows that."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        model_type,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        vocab_size=len(tiny_llama.tokenizer),
        max_position_embeddings=256,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **({} if model_type in NOT_SHARING else {"num_key_value_heads": 2, "head_dim": 8}),
        **options,
    )
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    return dataclasses.replace(tiny_llama, model=model)


def greedy_without_cache(lm, request):
    """The text and its logprob from one whole forward pass per token."""
    ids = lm.files.text_ids([request.context])[0]
    inputs = torch.cat([request.soft, lm.embedding(torch.tensor(ids))])[None]
    tokens, logprob = [], 0.0
    while len(tokens) < GREEDY.max_new_tokens:
        best = lm.model(inputs_embeds=inputs, use_cache=False).logits[0, -1].log_softmax(-1).max(0)
        tokens.append(best.indices.item())
        logprob += best.values.item()
        if tokens[-1] == 2 or lm.tokenizer.decode(tokens[-1:]) == "\n":
            break
        inputs = torch.cat([inputs, lm.embedding(best.indices)[None, None]], dim=1)
    text = lm.tokenizer.decode(tokens, skip_special_tokens=True).replace("\ufffd", "").strip()
    return text, len(tokens), pytest.approx(logprob, abs=1e-2)


@pytest.mark.parametrize("model_type", [*sorted(SHARING_MODEL_TYPES), *NOT_SHARING])
def test_an_lm_of_each_type_writes_what_passes_without_cache_give(
    model_type, tiny_llama, make_request
):
    lm = make_lm(tiny_llama, model_type)
    requests = [make_request(i, num_candidates=1 + i) for i in range(4)]
    for request, unit in zip(requests, HFEngine(lm).generate(requests, GREEDY), strict=True):
        expected = greedy_without_cache(lm, request)
        assert [(g.text, g.num_tokens, g.logprob) for g in unit] == [expected] * len(unit)


@pytest.mark.parametrize("model_type", sorted(SHARING_MODEL_TYPES))
def test_sharing_and_copying_give_the_same_texts(model_type, tiny_llama, make_request, monkeypatch):
    lm = make_lm(tiny_llama, model_type)
    requests = [make_request(i, num_candidates=1 + 3 * i) for i in range(5)]
    shared = HFEngine(lm).generate(requests, SAMPLED)
    monkeypatch.setattr(hf_causal, "can_share", lambda model, cache: False)
    copied = HFEngine(lm).generate(requests, SAMPLED)
    assert [[g.text for g in unit] for unit in shared] == [[g.text for g in u] for u in copied]


def test_sliding_windows_are_not_shared_and_written_right(tiny_llama, make_request):
    lm = make_lm(tiny_llama, "qwen2", use_sliding_window=True, **SLIDING)
    assert not can_share(lm.model, DynamicCache(config=lm.model.config))
    requests = [make_request(i, num_candidates=2) for i in range(4)]
    for request, unit in zip(requests, HFEngine(lm).generate(requests, GREEDY), strict=True):
        assert (unit[0].text, unit[0].num_tokens) == greedy_without_cache(lm, request)[:2]


def test_the_lm_keeps_its_own_attention_where_a_step_fails(tiny_llama, make_request):
    lm = make_lm(tiny_llama, "llama")
    before = lm.model.config._attn_implementation
    hook = lm.model.lm_head.register_forward_pre_hook(fail_on_single_positions)
    with pytest.raises(KeyError):
        HFEngine(lm).generate([make_request(3)], SAMPLED)
    hook.remove()
    assert lm.model.config._attn_implementation == before


def fail_on_single_positions(module, inputs):
    if torch.is_inference_mode_enabled() and len(inputs[0]) == 3:
        raise KeyError("a step of three rows")


def test_rows_are_seated_by_unit_whatever_units_have_none():
    seats = Seats.of(torch.tensor([0, 0, 3, 3, 3]), num_units=5)
    assert seats.places.tolist() == [0, 1, 0, 1, 2]
    assert (seats.num_units, seats.num_places) == (5, 3)
