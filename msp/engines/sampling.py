"""The next token of every row, drawn from a random stream that belongs to the row's candidate.

The streams count instead of remembering: the number for (stream, step) is a
hash of both, so a candidate's text depends neither on which rows shared its
batch nor on what was generated before it, on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from msp.config import GenerateConfig
from msp.engines.value_bias import ValueBias

GREEDY_TEMPERATURE = 1e-3
"""At or below this temperature the likeliest token is taken: dividing by less overflows."""

HEAD_SIZE = 128
"""Likeliest tokens that are sorted first; the whole vocabulary only where they do not suffice."""

# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def stream_ids(random_seed: int, num_candidates: int) -> Tensor:
    """Return the streams ``random_seed + k`` as [num_candidates] int64, wrapped at 64 bits."""
    return torch.arange(num_candidates, dtype=torch.int64) + _as_int64(random_seed)


def uniforms(streams: Tensor, step: int) -> Tensor:
    """Return the stream's number for a step: [N] float32 in [0, 1).

    24 random bits, which float32 holds exactly, so that every device computes
    the same number.

    Args:
        streams: [N] int64, from :func:`stream_ids`.
        step: how many tokens the row has already.
    """
    key = _mix(streams)
    bits = _shift_right(_mix(key + _as_int64(_GAMMA * (step + 1))), 40)
    return bits.to(torch.float32) * 2.0**-24


def choose_tokens(
    logits: Tensor,
    *,
    generated: Tensor,
    draws: Tensor,
    sampling: GenerateConfig,
    bias: ValueBias | None = None,
) -> tuple[Tensor, Tensor]:
    """Return each row's next token and its log-probability under the LM.

    Repetition penalty (of generated tokens, not of the context, whose slot
    values must be repeated), the bonus of asked values, then temperature,
    top-k and top-p in that order, as transformers applies them; then the
    inverse of the cumulative distribution, the likeliest token first.

    Args:
        logits: [N, V], any float type.
        generated: [N, T], the tokens that each row has generated so far.
        draws: [N] in [0, 1), from :func:`uniforms`.
        sampling: temperature, top_k, top_p and repetition_penalty are read.
        bias: what makes asked values likelier; none where nothing does.

    Returns:
        tokens [N] int64; log-probabilities [N] float32, without temperature,
        penalty, bonus and cuts.
    """
    logits = logits.float()
    scores = _penalise(logits, generated, sampling.repetition_penalty)
    if bias is not None:
        scores = bias.raise_scores(scores)
    if sampling.temperature <= GREEDY_TEMPERATURE:
        tokens = scores.argmax(dim=-1)
    else:
        tokens = _sample(scores / sampling.temperature, draws, sampling)
    chosen = logits.gather(1, tokens[:, None])[:, 0]
    return tokens, chosen - logits.logsumexp(dim=-1)


def _penalise(logits: Tensor, generated: Tensor, penalty: float) -> Tensor:
    """Make tokens that were generated before less likely (Keskar et al., arXiv 1909.05858)."""
    if penalty == 1.0 or generated.shape[1] == 0:
        return logits
    before = logits.gather(1, generated)
    return logits.scatter(1, generated, torch.where(before > 0, before / penalty, before * penalty))


def _sample(scores: Tensor, draws: Tensor, sampling: GenerateConfig) -> Tensor:
    vocab_size, top_p = scores.shape[1], sampling.top_p
    if 0 < sampling.top_k < vocab_size:
        head = scores.topk(sampling.top_k, dim=-1)
        return _pick(head.indices, _mass(head.values, head.values), draws, top_p)
    head = scores.topk(min(HEAD_SIZE, vocab_size), dim=-1)
    mass = _mass(head.values, scores)
    tokens = _pick(head.indices, mass, draws, top_p)
    covered = mass[:, -1]
    short = covered <= draws if top_p == 1.0 else covered < top_p
    rest = short.nonzero()[:, 0]
    if rest.numel() and head.values.shape[1] < vocab_size:
        full = scores[rest].sort(dim=-1, descending=True, stable=True)
        tokens[rest] = _pick(full.indices, _mass(full.values, full.values), draws[rest], top_p)
    return tokens


def _mass(descending: Tensor, scores: Tensor) -> Tensor:
    """Return the cumulative probabilities [N, M] of some scores [N, M] among all [N, V]."""
    return (descending - scores.logsumexp(dim=-1, keepdim=True)).exp().cumsum(dim=-1)


def _pick(candidates: Tensor, mass: Tensor, draws: Tensor, top_p: float) -> Tensor:
    """Invert the cumulative distribution, cut to the nucleus.

    The nucleus is the smallest set of likeliest tokens that has mass ``top_p``,
    or all of them where rounding leaves less.

    Args:
        candidates: [N, M] token ids, the likeliest first.
        mass: [N, M], their cumulative probabilities.
        draws: [N] in [0, 1).
        top_p: 1 keeps every token.

    Returns:
        [N] token ids.
    """
    edge = torch.searchsorted(mass, mass[:, -1:].clamp(max=top_p).contiguous())
    # Only where mass is no number is the edge beyond the end; the row's logprob will tell.
    edge = edge.clamp(max=mass.shape[1] - 1)
    total = mass.gather(1, edge) if top_p < 1.0 else torch.ones_like(mass[:, :1])
    picked = torch.searchsorted(mass, draws[:, None] * total, right=True)
    tokens: Tensor = candidates.gather(1, torch.minimum(picked, edge))[:, 0]
    return tokens


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift_right(value, 30)) * _as_int64(_MULTIPLIERS[0])
    value = (value ^ _shift_right(value, 27)) * _as_int64(_MULTIPLIERS[1])
    return value ^ _shift_right(value, 31)


def _shift_right(value: Tensor, num_bits: int) -> Tensor:
    """Shift as unsigned: torch's own shift of a negative int64 brings in ones."""
    shifted = torch.bitwise_right_shift(value, num_bits)
    return torch.bitwise_and(shifted, 2 ** (64 - num_bits) - 1)


def _as_int64(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value
