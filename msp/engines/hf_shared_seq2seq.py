"""Encoder-decoder LMs whose candidates share what their unit's encoder wrote.

In T5 a new token's attention to the encoded prompt is most of the decoder's
work on a CPU, and its keys and values most of its memory. Here the candidates
of a unit are the rows of one product with the unit's keys, as in
:mod:`msp.engines.hf_shared`.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from msp.engines.hf_shared import SharedPrompt, attend, attention_of_rows
from msp.engines.kv_cache import repeat_cache

ATTENTION_NAME = "msp_shared_encoding"

SHARING_MODEL_TYPES = frozenset("mt5 t5 umt5".split())
"""LMs without a position bias between decoder and encoder, each tested."""


def can_share_encoding(model: Any, cache: EncoderDecoderCache) -> bool:
    """Tell whether the LM's decoder lets its attention be chosen: a tested type, new enough."""
    return (
        model.config.model_type in SHARING_MODEL_TYPES
        # Before transformers had it read this table, T5 multiplied by itself.
        and hasattr(sys.modules[type(model).__module__], "ALL_ATTENTION_FUNCTIONS")
        and all(type(layer) is DynamicLayer for layer in cache.cross_attention_cache.layers)
    )


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    position_bias: Tensor,
    shared_prompt: SharedPrompt,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention interface wants it done."""
    if module.is_causal:
        own, _norm = attend(query * scaling, key, value, bias=position_bias)
        return own.transpose(1, 2), None
    return shared_prompt.attend_across(module.layer_idx, query, scaling), None


AttentionInterface.register(ATTENTION_NAME, _attention)


class SharedSeq2SeqRows:
    """Rows of an encoder-decoder LM that share their prompts; see :class:`msp.engines.decode.Rows`.

    Args:
        model: a transformers LM for which :func:`can_share_encoding` is true.
        logits: [U, V], after the decoder's first step.
        cache: of that step.
        encoded: [U, T, H].
        mask: [U, T], 1 where a prompt has a token.
        units: [N] int64 ascending, the prompt that row n continues.
        room: how many tokens will be generated at most.
    """

    def __init__(
        self,
        model: Any,
        *,
        logits: Tensor,
        cache: EncoderDecoderCache,
        encoded: Tensor,
        mask: Tensor,
        units: Tensor,
        room: int,
    ) -> None:
        self._model = model
        self.logits = logits[units]
        self._own: Cache = repeat_cache(cache.self_attention_cache, units, room=room)
        # The model finds here that the prompts are encoded; who attends to what is decided below.
        self._cache = EncoderDecoderCache(self._own, cache.cross_attention_cache)
        self._encoded = BaseModelOutput(last_hidden_state=encoded)
        self._prompt = SharedPrompt(cache.cross_attention_cache, mask.bool(), units)

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        with attention_of_rows(self._model.get_decoder().config, ATTENTION_NAME):
            output = self._model(
                encoder_outputs=self._encoded,
                decoder_input_ids=tokens[:, None],
                past_key_values=self._cache,
                use_cache=True,
                shared_prompt=self._prompt,
            )
        self.logits = output.logits[:, -1]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given ascending [M] int64."""
        self._own.reorder_cache(rows)
        self._prompt.keep(rows)
