"""Decoder-only LMs whose candidates share their unit's keys and values instead of copying them.

Over-generation makes many candidates of one prompt. Each new token attends in
two parts, to the unit's prompt (one matrix product for all of the unit's
candidates) and to the candidate's own tokens; the parts' normalisers then
merge them into what attention over both would have been (as in FlashAttention,
arXiv 2205.14135, section 3.1). A prompt so takes memory once per unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer

from msp.engines.kv_cache import RoomyLayer

ATTENTION_NAME = "msp_shared_prompt"

SHARING_MODEL_TYPES = frozenset("gemma granite llama mistral olmo2 phi3 qwen2 qwen3".split())
"""LMs whose attention is plain softmax attention through transformers' interface, each tested."""


def can_share(model: Any, cache: Cache) -> bool:
    """Tell whether the LM's attention may be split: a tested type without sliding windows."""
    return model.config.model_type in SHARING_MODEL_TYPES and all(
        type(layer) is DynamicLayer for layer in cache.layers
    )


@dataclass(frozen=True)
class Seats:
    """Where each row sits among the rows of its unit.

    Args:
        units: [N] int64, the prompt that row n continues; ascending.
        places: [N] int64, its number among the unit's rows.
        num_units: prompts, with or without rows.
        num_places: rows of the unit that has most.
    """

    units: Tensor
    places: Tensor
    num_units: int
    num_places: int

    @staticmethod
    def of(units: Tensor, num_units: int) -> Seats:
        """Seat rows, which must be in the order of their units."""
        counts = torch.bincount(units, minlength=num_units)
        first = counts.cumsum(0) - counts
        places = torch.arange(units.numel(), device=units.device) - first[units]
        return Seats(units, places, num_units, int(counts.max()))


class SharedPrompt:
    """The keys and values of a batch's prompts, and the rows that continue them.

    Args:
        cache: filled by the forward pass over U prompts.
        mask: [U, T] bool, true where a prompt has a token.
        units: [N] int64 ascending, the prompt that row n continues.
    """

    def __init__(self, cache: Cache, mask: Tensor, units: Tensor) -> None:
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]
        self._blocked = ~mask
        self._seats = Seats.of(units, mask.shape[0])

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given ascending [M]; prompts without rows go with them."""
        units = self._seats.units[rows]
        wanted, units = torch.unique(units, return_inverse=True)
        if wanted.numel() < self._seats.num_units:
            self._layers = [(keys[wanted], values[wanted]) for keys, values in self._layers]
            self._blocked = self._blocked[wanted]
        self._seats = Seats.of(units, wanted.numel())

    def attend(
        self, layer_idx: int, query: Tensor, own: tuple[Tensor, Tensor], scaling: float
    ) -> Tensor:
        """Return attention over each row's prompt and own tokens.

        Args:
            layer_idx: which layer's prompt keys and values to use.
            query: [N, heads, 1, D]; D is the head size.
            own: keys and values of the rows' own tokens, [N, key heads, T, D] each.
            scaling: of the products of query and key.

        Returns:
            [N, 1, heads, D].
        """
        num_rows, num_heads, _, size = query.shape
        num_key_heads = own[0].shape[1]
        # [N, key heads, heads per key head, D]: heads that share a key are columns of one product.
        query = query.reshape(num_rows, num_key_heads, -1, size) * scaling
        of_own, own_norm = attend(query, *own)
        of_prompt, prompt_norm = self._attend_to_prompt(query, *self._layers[layer_idx])
        share = torch.sigmoid(prompt_norm - own_norm).to(of_own.dtype)
        merged = torch.lerp(of_own, of_prompt, share)
        return merged.reshape(num_rows, 1, num_heads, size)

    def attend_across(self, layer_idx: int, query: Tensor, scaling: float) -> Tensor:
        """Return attention over each row's prompt alone, as a decoder's to what was encoded.

        Args:
            layer_idx: which layer's prompt keys and values to use.
            query: [N, heads, 1, D], as many heads as keys have.
            scaling: of the products of query and key.

        Returns:
            [N, 1, heads, D].
        """
        of_prompt, _ = self._attend_to_prompt(query * scaling, *self._layers[layer_idx])
        return of_prompt.transpose(1, 2)

    def _attend_to_prompt(
        self, query: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        seats = self._seats
        _, num_key_heads, num_shared, size = query.shape
        shape = (seats.num_units, num_key_heads, seats.num_places, num_shared, -1)
        seated = query.new_zeros((*shape[:4], size))
        seated[seats.units, :, seats.places] = query
        blocked = self._blocked[:, None, None, :]
        output, norm = attend(seated.flatten(2, 3), keys, values, blocked=blocked)
        output, norm = output.view(shape), norm.view(shape)
        return output[seats.units, :, seats.places], norm[seats.units, :, seats.places]


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    bias: Tensor | None = None,
    blocked: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return attention [..., Q, D], and the log of its summed weights [..., Q, 1].

    Args:
        query: [..., Q, D], scaled.
        keys: [..., T, D].
        values: [..., T, D].
        bias: [..., Q, T], added to the scores.
        blocked: [..., Q, T], true where a query must not look.
    """
    scores = (query @ keys.transpose(-1, -2)).float()
    if bias is not None:
        scores = scores + bias
    if blocked is not None:
        scores = scores.masked_fill(blocked, -torch.inf)
    norm = scores.logsumexp(dim=-1, keepdim=True)
    return (scores - norm).exp().to(values.dtype) @ values, norm


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    shared_prompt: SharedPrompt,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention interface wants it done."""
    return shared_prompt.attend(module.layer_idx, query, (key, value), scaling), None


AttentionInterface.register(ATTENTION_NAME, _attention)


@contextmanager
def attention_of_rows(config: Any, name: str) -> Iterator[None]:
    """Let what reads this config attend in another way for a while; it is others' LM, too."""
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


class SharedRows:
    """Rows of a decoder-only LM that share their prompts; see :class:`msp.engines.decode.Rows`.

    Args:
        model: a transformers causal LM for which :func:`can_share` is true.
        logits: [N, V], after the prompts.
        prompt: the prompts with N rows.
        own: an empty cache with room for what the rows will generate.
        positions: [N], where each row's next token stands.
    """

    def __init__(
        self, model: Any, *, logits: Tensor, prompt: SharedPrompt, own: Cache, positions: Tensor
    ) -> None:
        self._model = model
        self.logits = logits
        self._prompt = prompt
        self._own = own
        self._positions = positions

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        with attention_of_rows(self._model.config, ATTENTION_NAME):
            output = self._model(
                input_ids=tokens[:, None],
                position_ids=self._positions[:, None],
                past_key_values=self._own,
                use_cache=True,
                shared_prompt=self._prompt,
            )
        self._positions = self._positions + 1
        self.logits = output.logits[:, -1]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given [M] int64, which ascend."""
        self._own.reorder_cache(rows)
        self._prompt.keep(rows)
        self._positions = self._positions[rows]


def shared_rows(
    model: Any, *, logits: Tensor, cache: Cache, mask: Tensor, units: Tensor, room: int
) -> SharedRows:
    """Return N rows that continue the prompts ``units`` [N] of a filled cache; see SharedRows."""
    own = Cache(layers=[RoomyLayer.empty(layer, units.numel(), room) for layer in cache.layers])
    return SharedRows(
        model,
        logits=logits[units],
        prompt=SharedPrompt(cache, mask, units),
        own=own,
        positions=mask.sum(dim=1)[units],
    )
