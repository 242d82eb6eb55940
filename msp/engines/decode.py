"""The token loop: rows of a batch grow by one token a step and leave when they are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from msp.config import GenerateConfig
from msp.engines.sampling import choose_tokens, uniforms
from msp.engines.value_bias import ValueBias

MAX_FINISHED_SHARE = 0.25
"""Finished rows stay up to this share: taking them out copies the cache of the rest."""


class Rows(Protocol):
    """The LM's state for the candidates of one batch, one row each."""

    logits: Tensor

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given [M] int64."""
        ...


class Prefill(Protocol):
    """The LM's state after the prompts of a batch, one row per unit, before any candidate.

    ``num_positions`` were computed for it, padding included.
    """

    num_positions: int

    def rows(self, units: Tensor, *, room: int) -> Rows:
        """Return N rows with room for that many tokens; row n continues prompt ``units[n]``."""
        ...


@dataclass(frozen=True)
class Decoded:
    """What N rows generated.

    Args:
        tokens: per row its token ids, with the one that ended it.
        logprobs: per row the sum of its tokens' log-probabilities.
    """

    tokens: list[list[int]]
    logprobs: list[float]


def decode(
    rows: Rows,
    streams: Tensor,
    *,
    stop: Tensor,
    sampling: GenerateConfig,
    bias: ValueBias | None = None,
) -> Decoded:
    """Generate until every row has met a stop token or has ``max_new_tokens``.

    Args:
        rows: N rows after their prompts.
        streams: [N] int64, each row's random stream.
        stop: [V] bool, the tokens that end a row.
        sampling: how tokens are chosen, and how many at most.
        bias: of the N rows, where values are asked for.
    """
    num_rows, device = streams.numel(), streams.device
    tokens = torch.full((num_rows, sampling.max_new_tokens), -1, device=device)
    logprobs = torch.zeros(num_rows, dtype=torch.float32, device=device)
    active = torch.arange(num_rows, device=device)
    going = torch.ones(num_rows, dtype=torch.bool, device=device)
    logits = rows.logits
    for step in range(sampling.max_new_tokens):
        # Rows that are done hold -1; what they would generate is not looked at.
        generated = tokens[active, :step].clamp(min=0)
        draws = uniforms(streams[active], step)
        chosen, logprob = choose_tokens(
            logits, generated=generated, draws=draws, sampling=sampling, bias=bias
        )
        tokens[active, step] = torch.where(going, chosen, -1)
        logprobs[active] += torch.where(going, logprob, 0.0)
        going &= ~stop[chosen]
        if bias is not None:
            bias.advance(chosen)
        num_going = int(going.sum())
        if num_going == 0 or step + 1 == sampling.max_new_tokens:
            break
        if num_going < (1 - MAX_FINISHED_SHARE) * going.numel():
            kept = going.nonzero()[:, 0]
            rows.keep(kept)
            if bias is not None:
                bias.keep(kept)
            active, chosen, going = active[kept], chosen[kept], going[kept]
        logits = rows.step(chosen)
    lengths = (tokens >= 0).sum(dim=1).tolist()
    ids = [row[:length] for row, length in zip(tokens.tolist(), lengths, strict=True)]
    return Decoded(tokens=ids, logprobs=logprobs.tolist())
