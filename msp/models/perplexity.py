"""Perplexity of texts under a named LM: how likely a model that wrote none of them finds them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from msp.errors import CheckpointError
from msp.models.frozen_lm import FrozenLM

_BATCH_SIZE = 16


@torch.no_grad()
def perplexity(lm: FrozenLM, texts: Sequence[str]) -> float | None:
    """Return exp of the mean nats a token over all tokens of all texts, each text on its own.

    The first token of a text follows the LM's start token where it has one, and
    is not counted otherwise. A text longer than the LM's context is cut.

    Args:
        lm: a causal LM.
        texts: those without a token are left out.

    Returns:
        None where no token can be counted.

    Raises:
        CheckpointError: the LM is no causal one.
    """
    if lm.is_encoder_decoder:
        raise CheckpointError(
            f"metrics.perplexity_model: {lm.name} is an encoder-decoder; name a causal LM."
        )
    start = lm.tokenizer.bos_token_id
    rows = [([] if start is None else [int(start)]) + ids for ids in lm.files.text_ids(texts)]
    rows = sorted((row[: lm.max_positions] for row in rows if len(row) > 1), key=len)
    nats, num_tokens = 0.0, 0
    for first in range(0, len(rows), _BATCH_SIZE):
        batch = rows[first : first + _BATCH_SIZE]
        nats += float(_nats(lm, batch))
        num_tokens += sum(len(row) - 1 for row in batch)
    return math.exp(nats / num_tokens) if num_tokens else None


def _nats(lm: FrozenLM, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return the sum of the negative log-likelihoods of all but each row's first token."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), int(lm.tokenizer.pad_token_id or 0))
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = True
    ids, mask = ids.to(lm.device), mask.to(lm.device)
    # Padding stands at the end, where a causal LM never looks back from a real token.
    logits = lm.model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    return losses[mask[:, 1:].flatten()].sum()
