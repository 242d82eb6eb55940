"""The random streams and the choice of the next token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from msp.config import GenerateConfig
from msp.engines.sampling import choose_tokens, stream_ids, uniforms

NOTHING = torch.zeros(1, 0, dtype=torch.int64)


def choose(logits, draws, *, generated=None, **settings_):
    generated = torch.zeros(len(logits), 0, dtype=torch.int64) if generated is None else generated
    sampling = GenerateConfig(**{"temperature": 1.0, "top_p": 1.0, **settings_})
    return choose_tokens(logits, generated=generated, draws=draws, sampling=sampling)


def expected_probabilities(logits, generated, **settings_):
    """What transformers' own processors leave, in the order in which ``generate`` applies them."""
    sampling = GenerateConfig(**{"temperature": 1.0, "top_p": 1.0, **settings_})
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    processors.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        processors.append(TopPLogitsWarper(sampling.top_p))
    return processors(generated, logits).softmax(-1)


@settings(max_examples=40, deadline=None)
@given(
    vocab_size=st.sampled_from([2, 7, 300]),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 5, 200, 1000]),
    top_p=st.sampled_from([0.1, 0.5, 0.95, 1.0]),
    penalty=st.sampled_from([1.0, 1.8]),
    seed=st.integers(0, 1000),
)
def test_frequencies_are_those_of_transformers_processors(
    vocab_size, temperature, top_k, top_p, penalty, seed
):
    maker = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, vocab_size, generator=maker) * 2
    generated = torch.randint(vocab_size, (1, 3), generator=maker)
    chosen = dict(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
    num = 4000
    # Evenly spaced draws leave no chance: every token's share is exact but for one draw.
    draws = (torch.arange(num) + 0.5) / num
    tokens, _ = choose(logits.expand(num, -1), draws, generated=generated.expand(num, -1), **chosen)
    shares = torch.bincount(tokens, minlength=vocab_size) / num
    expected = expected_probabilities(logits, generated, **chosen)[0]
    assert (shares - expected).abs().max() < 2 / num


def test_a_temperature_near_zero_takes_the_likeliest_token_whatever_is_drawn():
    logits = torch.tensor([[0.1, 3.0, 2.9], [5.0, 1.0, 4.9]])
    tokens, _ = choose(logits, torch.tensor([0.99, 0.999]), temperature=1e-3)
    assert tokens.tolist() == [1, 0]


def test_the_greedy_choice_sees_the_repetition_penalty():
    logits = torch.tensor([[3.0, 2.9, -1.0]])
    tokens, _ = choose(
        logits,
        torch.tensor([0.0]),
        generated=torch.tensor([[0]]),
        temperature=1e-4,
        repetition_penalty=2.0,
    )
    assert tokens.tolist() == [1]


def test_logprob_knows_nothing_of_temperature_penalty_and_cuts():
    logits = torch.tensor([[1.0, 2.0, 3.0, -4.0]])
    tokens, logprobs = choose(
        logits,
        torch.tensor([0.7]),
        generated=torch.tensor([[2]]),
        temperature=1.7,
        top_k=3,
        top_p=0.9,
        repetition_penalty=1.5,
    )
    assert logprobs[0] == pytest.approx(logits.log_softmax(-1)[0, tokens[0]].item())


@pytest.mark.parametrize("vocab_size", [3, 128, 129, 5000])
def test_the_largest_draw_never_picks_an_impossible_token(vocab_size):
    logits = torch.zeros(1, vocab_size)
    logits[:, -1] = -torch.inf
    for top_p in (1.0, 0.9999999):
        tokens, _ = choose(logits, torch.tensor([1 - 2.0**-24]), top_p=top_p)
        assert tokens.item() != vocab_size - 1


def test_bfloat16_logits_are_summed_in_float32():
    logits = torch.randn(4, 1000).to(torch.bfloat16)
    draws = torch.tensor([0.1, 0.4, 0.6, 0.9])
    assert choose(logits, draws)[0].tolist() == choose(logits.float(), draws)[0].tolist()


@given(seed=st.integers(-(2**70), 2**70), step=st.integers(0, 10_000))
def test_draws_lie_between_zero_and_one_for_any_seed(seed, step):
    draws = uniforms(stream_ids(seed, 5), step)
    assert ((draws >= 0) & (draws < 1)).all()


def test_a_draw_depends_on_stream_and_step_and_not_on_its_neighbours():
    together = uniforms(stream_ids(1000, 64), 7)
    alone = torch.cat([uniforms(stream_ids(1000 + k, 1), 7) for k in range(64)])
    assert torch.equal(together, alone)
    assert len(set(together.tolist())) == 64


def test_draws_are_even_and_neighbouring_streams_and_steps_do_not_resemble_each_other():
    draws = torch.stack([uniforms(stream_ids(5 << 16, 2000), step) for step in range(20)])
    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    assert draws.var() == pytest.approx(1 / 12, abs=0.003)
    by_stream = torch.corrcoef(torch.stack([draws[:, :-1].flatten(), draws[:, 1:].flatten()]))
    by_step = torch.corrcoef(torch.stack([draws[:-1].flatten(), draws[1:].flatten()]))
    assert abs(by_stream[0, 1]) < 0.02
    assert abs(by_step[0, 1]) < 0.02


def test_the_streams_have_not_changed_since_runs_were_written_with_them():
    # The same hash with Python's unbounded integers.
    assert uniforms(stream_ids(0, 3), 0).tolist() == [reference_draw(k, 0) for k in range(3)]
    assert uniforms(stream_ids(-1, 1), 9).tolist() == [reference_draw(-1, 9)]


def reference_draw(stream: int, step: int) -> float:
    mask = 2**64 - 1

    def mix(value: int) -> int:
        value &= mask
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
        return value ^ (value >> 31)

    return (mix(mix(stream) + 0x9E3779B97F4A7C15 * (step + 1)) >> 40) / 2**24
