"""A decoder-only LM: the soft prompt and the text stand before what is generated."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from msp.engines.decode import Rows
from msp.engines.forward import accepted, like_lengths, pad_prompts, positions_at_least
from msp.engines.hf_shared import can_share, shared_rows
from msp.engines.kv_cache import repeat_cache


class CausalPrefill:
    """The keys and values of a batch's prompts, computed once per unit.

    Prompts are padded on the left, so that every row's next token stands in the
    same column; positions count from each prompt's own start.

    Args:
        model: a transformers causal LM.
        prompts: per unit [L, H], the soft prompt and the embedded text; the longest first.
    """

    def __init__(self, model: Any, prompts: Sequence[Tensor]) -> None:
        self._model = model
        self._shares = can_share(model, DynamicCache(config=model.config))
        device = prompts[0].device
        # Caches of other kinds than plain keys and values cannot be put together.
        least = positions_at_least(device) if self._shares else sys.maxsize
        parts = [self._computed(prompts[part]) for part in like_lengths(prompts, least=least)]
        self.num_positions = sum(mask.numel() for _, mask, _ in parts)
        self._logits = torch.cat([logits for _, _, logits in parts])
        self._cache, self._mask, _ = parts[0]
        if len(parts) > 1:
            self._mask = torch.cat([_widened(mask, self._mask.shape[1], 1) for _, mask, _ in parts])
            self._cache = _stacked([cache for cache, _, _ in parts])

    def _computed(self, prompts: Sequence[Tensor]) -> tuple[Any, Tensor, Tensor]:
        """Return the cache, the mask [U, T] and the next tokens' logits [U, V] of some prompts."""
        embeddings, mask = pad_prompts(prompts, left=True)
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        output = self._model(
            inputs_embeds=embeddings,
            attention_mask=mask.long(),
            use_cache=True,
            **accepted(self._model, position_ids=positions, logits_to_keep=1),
        )
        return output.past_key_values, mask, output.logits[:, -1]

    def rows(self, units: Tensor, *, room: int) -> Rows:
        """Return a row per candidate; see :class:`msp.engines.decode.Prefill`."""
        if self._shares:
            return shared_rows(
                self._model,
                logits=self._logits,
                cache=self._cache,
                mask=self._mask,
                units=units,
                room=room,
            )
        return CausalRows(
            self._model,
            logits=self._logits[units],
            cache=repeat_cache(self._cache, units, room=room),
            mask=self._mask[units],
        )


def _widened(tensor: Tensor, width: int, dim: int) -> Tensor:
    """Return a tensor with zeros put before it until a dimension has a width."""
    missing = width - tensor.shape[dim]
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)


def _stacked(caches: Sequence[Cache]) -> Cache:
    """Return one cache of all rows, those of shorter prompts padded on the left.

    Args:
        caches: of plain keys and values, the longest first.
    """
    width = caches[0].get_seq_length()
    stacked = Cache(layers=[DynamicLayer() for _ in caches[0].layers])
    for place in range(len(stacked.layers)):
        layers = [cache.layers[place] for cache in caches]
        keys = torch.cat([_widened(layer.keys, width, 2) for layer in layers])
        values = torch.cat([_widened(layer.values, width, 2) for layer in layers])
        stacked.update(keys, values, place)
    return stacked


class CausalRows:
    """Rows of any decoder-only LM, each with a copy of its prompt.

    See :class:`msp.engines.decode.Rows`.
    """

    def __init__(self, model: Any, *, logits: Tensor, cache: Any, mask: Tensor) -> None:
        self._model = model
        self.logits = logits
        self._cache = cache
        self._mask = mask.long()
        self._positions = self._mask.sum(dim=1)

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        output = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **accepted(self._model, position_ids=self._positions[:, None]),
        )
        self._positions = self._positions + 1
        self.logits = output.logits[:, -1]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given [M] int64."""
        self._cache.reorder_cache(rows)
        self._mask, self._positions = self._mask[rows], self._positions[rows]
