"""An encoder-decoder LM: the encoder reads the soft prompt and the text, the decoder writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from msp.engines.forward import pad_prompts
from msp.engines.kv_cache import repeat_cache


class Seq2SeqPrefill:
    """A batch's prompts, encoded once per unit, and the decoder's first step on them.

    Prompts are padded on the right: encoders with learned positions count
    from the first column.

    Args:
        model: a transformers encoder-decoder LM.
        prompts: per unit [L, H], the soft prompt and the embedded text.
    """

    def __init__(self, model: Any, prompts: Sequence[Tensor]) -> None:
        self._model = model
        embeddings, mask = pad_prompts(prompts, left=False)
        self._mask = mask.long()
        encoder = model.get_encoder()
        encoded = encoder(inputs_embeds=embeddings, attention_mask=self._mask)
        self._encoded = encoded.last_hidden_state
        start = torch.full_like(self._mask[:, :1], model.config.decoder_start_token_id)
        output = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=start,
            use_cache=True,
        )
        self._cache = output.past_key_values
        self._logits = output.logits[:, -1]

    def rows(self, units: Tensor, *, room: int) -> Seq2SeqRows:
        """Return a row per candidate; see :class:`msp.engines.decode.Prefill`."""
        return Seq2SeqRows(
            self._model,
            logits=self._logits[units],
            cache=repeat_cache(self._cache, units, room=room),
            encoded=self._encoded[units],
            mask=self._mask[units],
        )


class Seq2SeqRows:
    """Rows of an encoder-decoder LM; see :class:`msp.engines.decode.Rows`."""

    def __init__(
        self, model: Any, *, logits: Tensor, cache: Any, encoded: Tensor, mask: Tensor
    ) -> None:
        self._model = model
        self.logits = logits
        self._cache = cache
        self._encoded = encoded
        self._mask = mask

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=tokens[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self.logits = output.logits[:, -1]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given [M] int64."""
        self._cache.reorder_cache(rows)
        self._encoded, self._mask = self._encoded[rows], self._mask[rows]
