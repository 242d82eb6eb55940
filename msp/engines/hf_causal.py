"""A decoder-only LM: the soft prompt and the text stand before what is generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from msp.engines.decode import Rows
from msp.engines.forward import accepted, pad_prompts
from msp.engines.hf_shared import can_share, shared_rows
from msp.engines.kv_cache import repeat_cache


class CausalPrefill:
    """The keys and values of a batch's prompts, computed once per unit.

    Prompts are padded on the left, so that every row's next token stands in the
    same column; positions count from each prompt's own start.

    Args:
        model: a transformers causal LM.
        prompts: per unit [L, H], the soft prompt and the embedded text.
    """

    def __init__(self, model: Any, prompts: Sequence[Tensor]) -> None:
        self._model = model
        embeddings, self._mask = pad_prompts(prompts, left=True)
        positions = (self._mask.long().cumsum(dim=1) - 1).clamp(min=0)
        output = model(
            inputs_embeds=embeddings,
            attention_mask=self._mask.long(),
            use_cache=True,
            **accepted(model, position_ids=positions, logits_to_keep=1),
        )
        self._cache = output.past_key_values
        self._logits = output.logits[:, -1]

    def rows(self, units: Tensor, *, room: int) -> Rows:
        """Return a row per candidate; see :class:`msp.engines.decode.Prefill`."""
        if can_share(self._model, self._cache):
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
