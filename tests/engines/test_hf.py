"""The Hugging Face engine: the same texts as ``generate`` writes, in any grouping."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.engines.hf import HFEngine
from msp.errors import GenerationError

GREEDY = GenerateConfig(temperature=1e-3, max_new_tokens=12)
SAMPLED = GenerateConfig(temperature=1.0, top_p=1.0, max_new_tokens=12)


def prompt_embeddings(lm, request):
    """``[soft][text]`` as [1, L, H], put together without the engine."""
    ids = lm.tokenizer(request.context, add_special_tokens=False, return_tensors="pt").input_ids
    text = lm.embedding(ids)
    return torch.cat([request.soft[None], text], dim=1)


def generate_reference(lm, request, **options):
    """transformers' own ``generate`` on one request alone; its new tokens as lists."""
    inputs = prompt_embeddings(lm, request)
    ends = [lm.tokenizer.eos_token_id]
    if not lm.is_encoder_decoder:
        ends.append(lm.tokenizer.convert_tokens_to_ids("Ċ"))  # a newline, byte-level
    with torch.inference_mode():
        tokens = lm.model.generate(
            inputs_embeds=inputs,
            attention_mask=torch.ones(inputs.shape[:2], dtype=torch.long),
            max_new_tokens=12,
            eos_token_id=ends,
            **options,
        )
    return tokens[:, 1:] if lm.is_encoder_decoder else tokens


def text_of(lm, tokens):
    text = lm.tokenizer.decode(tokens, skip_special_tokens=True).partition("\n")[0]
    return text.replace("\ufffd", "").strip()


def texts(results):
    return [[generated.text for generated in unit] for unit in results]


def test_greedy_texts_are_those_of_generate(tiny_lm, make_request):
    requests = [make_request(i, num_candidates=1) for i in range(6)]
    results = HFEngine(tiny_lm).generate(requests, GREEDY)
    for request, (generated,) in zip(requests, results, strict=True):
        tokens = generate_reference(tiny_lm, request, do_sample=False)[0]
        assert generated.text == text_of(tiny_lm, tokens)


def test_greedy_texts_with_repetition_penalty_are_those_of_generate(tiny_llama, make_request):
    requests = [make_request(i, num_candidates=2) for i in range(4)]
    sampling = GREEDY.model_copy(update={"repetition_penalty": 1.7})
    results = HFEngine(tiny_llama).generate(requests, sampling)
    for request, unit in zip(requests, results, strict=True):
        tokens = generate_reference(tiny_llama, request, do_sample=False, repetition_penalty=1.7)[0]
        assert {generated.text for generated in unit} == {text_of(tiny_llama, tokens)}


def test_logprob_is_the_sum_that_a_forward_pass_over_the_text_gives(tiny_llama, make_request):
    request = make_request(3, num_candidates=1)
    (generated,) = HFEngine(tiny_llama).generate([request], GREEDY)[0]
    tokens = generate_reference(tiny_llama, request, do_sample=False)[0]
    prompt = prompt_embeddings(tiny_llama, request)
    inputs = torch.cat([prompt, tiny_llama.embedding(tokens)[None]], dim=1)
    with torch.inference_mode():
        logprobs = tiny_llama.model(inputs_embeds=inputs).logits.log_softmax(-1)
    own = logprobs[0, prompt.shape[1] - 1 : -1].gather(1, tokens[:, None])
    assert generated.num_tokens == len(tokens)
    assert generated.logprob == pytest.approx(own.sum().item(), abs=1e-3)


def test_sampled_tokens_have_the_frequencies_of_generate(tiny_lm, make_request):
    num = 3000
    request = make_request(1, num_candidates=num)
    sampling = SAMPLED.model_copy(
        update={"temperature": 1.3, "top_k": 12, "top_p": 0.9, "max_new_tokens": 3}
    )
    ours = Counter(t for g in HFEngine(tiny_lm).generate([request], sampling)[0] for t in g.text)
    torch.manual_seed(0)
    options = dict(do_sample=True, temperature=1.3, top_k=12, top_p=0.9, num_return_sequences=num)
    rows = generate_reference(tiny_lm, request, **options)[:, :3]
    theirs = Counter(t for row in rows for t in text_of(tiny_lm, row))
    for character in ours | theirs:
        a, b = ours[character], theirs[character]
        assert abs(a - b) < 5 * math.sqrt(a + b) + 1, (character, a, b)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_texts_do_not_depend_on_how_units_are_grouped(tiny_lm, make_request, data):
    requests = [make_request(i, num_candidates=1 + i % 4) for i in range(7)]
    alone = [HFEngine(tiny_lm).generate([request], SAMPLED)[0] for request in requests]
    order = data.draw(st.permutations(range(len(requests))))
    cut = data.draw(st.integers(0, len(requests)))
    sampling = SAMPLED.model_copy(update={"batch_size": data.draw(st.integers(1, 8))})
    engine = HFEngine(tiny_lm)
    engine._max_rows = data.draw(st.integers(1, 20))
    grouped = [
        *engine.generate([requests[i] for i in order[:cut]], sampling),
        *engine.generate([requests[i] for i in order[cut:]], sampling),
    ]
    assert texts(grouped) == texts([alone[i] for i in order])


def test_more_candidates_only_add_to_the_first_ones(tiny_lm, make_request):
    engine = HFEngine(tiny_lm)
    many = texts(engine.generate([make_request(2, num_candidates=64)], SAMPLED))[0]
    one = texts(engine.generate([make_request(2, num_candidates=1)], SAMPLED))[0]
    assert len(many) == 64 and len(set(many)) > 30
    assert many[:1] == one


@pytest.fixture
def make_lm_that_says(tiny_llama):
    """An LM whose next token follows from its position alone, so that it says given tokens."""

    def make(ids):
        config = GPT2Config(
            vocab_size=len(tiny_llama.tokenizer), n_positions=64, n_embd=64, n_layer=1, n_head=1,
            tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
        model = GPT2LMHeadModel(config).eval().requires_grad_(False)
        for parameter in model.parameters():
            parameter.zero_()
        # A one-hot position embedding goes straight through to the output layer.
        model.transformer.wpe.weight.copy_(torch.eye(64))
        model.transformer.ln_f.weight.fill_(1.0)
        model.lm_head.weight[ids, range(len(ids))] = 1.0
        request = Request(0, "", torch.zeros(1, 64), num_candidates=1, random_seed=1)
        return HFEngine(dataclasses.replace(tiny_llama, model=model)), request

    return make


def test_a_text_ends_at_its_first_newline_and_counts_the_token_that_ended_it(
    tiny_llama, make_lm_that_says
):
    engine, request = make_lm_that_says(tiny_llama.files.text_ids([" room 7\nroom 8\n"])[0])
    (generated,) = engine.generate([request], GREEDY)[0]
    assert (generated.text, generated.num_tokens) == ("room 7", len(" room 7\n"))


def test_a_text_ends_at_the_end_token(tiny_llama, make_lm_that_says):
    engine, request = make_lm_that_says([*tiny_llama.files.text_ids([" yes"])[0], 2, 7, 8])
    (generated,) = engine.generate([request], GREEDY)[0]
    assert (generated.text, generated.num_tokens) == ("yes", len(" yes") + 1)


def test_bytes_that_are_no_character_do_not_reach_the_text(tiny_llama, make_lm_that_says):
    # Byte-level tokens for the bytes 255 and 195; the latter opens a character that never comes.
    broken = tiny_llama.tokenizer.convert_tokens_to_ids(["\u00ff", "\u00c3"])
    before, after = tiny_llama.files.text_ids([" caf", "s\n"])
    engine, request = make_lm_that_says([*before, *broken, *after])
    assert engine.generate([request], GREEDY)[0][0].text == "cafs"


def test_a_text_stops_at_max_new_tokens(tiny_llama, make_lm_that_says):
    engine, request = make_lm_that_says(tiny_llama.files.text_ids([" a very long text"])[0])
    sampling = GREEDY.model_copy(update={"max_new_tokens": 7})
    (generated,) = engine.generate([request], sampling)[0]
    assert (generated.text, generated.num_tokens) == ("a very", 7)


def test_a_unit_without_soft_prompt_and_context_is_still_written(tiny_lm, make_request):
    requests = [make_request(5, soft=0, context=""), make_request(5), make_request(5, context="")]
    results = HFEngine(tiny_lm).generate(requests, SAMPLED)
    assert [len(unit) for unit in results] == [3, 3, 3]
    assert all(g.num_tokens >= 1 and g.logprob < 0 for unit in results for g in unit)


def test_no_requests_and_no_candidates_give_no_texts(tiny_lm, make_request):
    engine = HFEngine(tiny_lm)
    assert engine.generate([], SAMPLED) == []
    requests = [make_request(0, num_candidates=0), make_request(1, num_candidates=2)]
    assert [len(unit) for unit in engine.generate(requests, SAMPLED)] == [0, 2]


def test_a_prompt_that_leaves_no_room_is_refused_with_unit_and_lengths(tiny_llama, make_request):
    engine = HFEngine(tiny_llama)
    fits = make_request(9, context="x" * 496)
    assert engine.num_prompt_tokens(fits) == 500
    assert len(engine.generate([fits], SAMPLED)[0]) == 3
    too_long = make_request(9, context="x" * 497)
    expected = "unit 9 has 4 soft prompt positions, 497 text tokens .* 512 positions"
    with pytest.raises(GenerationError, match=expected):
        engine.generate([too_long], SAMPLED)


class SmallMemory(torch.nn.Module):
    """An LM on a device whose memory ends at a number of rows."""

    def __init__(self, model, max_rows):
        super().__init__()
        self.inner, self.max_rows, self.rows_seen = model, max_rows, []
        self.config, self.generation_config = model.config, model.generation_config
        self.dtype = model.dtype

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, **arguments):
        inputs = arguments.get("input_ids", arguments.get("inputs_embeds"))
        self.rows_seen.append(len(inputs))
        if len(inputs) > self.max_rows:
            raise torch.OutOfMemoryError(f"no room for {len(inputs)} rows")
        return self.inner(**arguments)


def with_small_memory(lm, max_rows):
    return dataclasses.replace(lm, model=SmallMemory(lm.model, max_rows))


def test_out_of_memory_halves_the_batch_and_keeps_it_small(tiny_llama, make_request):
    requests = [make_request(i, num_candidates=3) for i in range(8)]
    small = with_small_memory(tiny_llama, max_rows=7)
    engine = HFEngine(small)
    expected = HFEngine(tiny_llama).generate(requests, SAMPLED)
    assert texts(engine.generate(requests, SAMPLED)) == texts(expected)
    small.model.rows_seen.clear()
    engine.generate(requests, SAMPLED)
    assert max(small.model.rows_seen) <= 7


def test_a_unit_with_more_candidates_than_fit_is_written_in_parts(tiny_llama, make_request):
    request = make_request(4, num_candidates=20)
    small = HFEngine(with_small_memory(tiny_llama, max_rows=3))
    expected = HFEngine(tiny_llama).generate([request], SAMPLED)
    assert texts(small.generate([request], SAMPLED)) == texts(expected)


def test_one_candidate_that_does_not_fit_is_an_error_that_says_so(tiny_llama, make_request):
    engine = HFEngine(with_small_memory(tiny_llama, max_rows=0))
    with pytest.raises(GenerationError, match=r"one candidate of .* does not fit the memory"):
        engine.generate([make_request(0, num_candidates=5)], SAMPLED)


def test_other_runtime_errors_are_not_taken_for_full_memory(tiny_llama, make_request):
    wrong = dataclasses.replace(make_request(0), soft=torch.zeros(2, 5))
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        HFEngine(tiny_llama).generate([wrong], SAMPLED)


def test_logits_that_are_no_numbers_are_an_error(tiny_llama, make_request):
    broken = copy.deepcopy(tiny_llama.model)
    broken.model.norm.weight.fill_(float("nan"))
    engine = HFEngine(dataclasses.replace(tiny_llama, model=broken))
    with pytest.raises(GenerationError, match=r"unit 0: .* logits that are no numbers"):
        engine.generate([make_request(0)], SAMPLED)


def test_bfloat16_models_write_and_are_left_as_they_were(tiny_lm, make_request):
    lm = dataclasses.replace(tiny_lm, model=copy.deepcopy(tiny_lm.model).to(torch.bfloat16))
    before = lm.model.config._attn_implementation
    results = HFEngine(lm).generate([make_request(i) for i in range(3)], SAMPLED)
    assert [len(unit) for unit in results] == [3, 3, 3]
    assert lm.model.dtype == torch.bfloat16
    assert lm.model.config._attn_implementation == before
