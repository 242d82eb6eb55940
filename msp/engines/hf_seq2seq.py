"""An encoder-decoder LM: the encoder reads the soft prompt and the text, the decoder writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from msp.engines.decode import Rows
from msp.engines.forward import like_lengths, pad_prompts, positions_at_least
from msp.engines.hf_shared_seq2seq import SharedSeq2SeqRows, can_share_encoding
from msp.engines.kv_cache import repeat_cache


class Seq2SeqPrefill:
    """A batch's prompts, encoded once per unit, and the decoder's first step on them.

    Prompts are padded on the right: encoders with learned positions count
    from the first column.

    Args:
        model: a transformers encoder-decoder LM.
        prompts: per unit [L, H], the soft prompt and the embedded text; the longest first.
    """

    def __init__(self, model: Any, prompts: Sequence[Tensor]) -> None:
        self._model = model
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=prompts[0].device)
        self._mask = (
            torch.arange(len(prompts[0]), device=lengths.device) < lengths[:, None]
        ).long()
        self._encoded, self.num_positions = _encoded(model, prompts)
        start = torch.full_like(self._mask[:, :1], model.config.decoder_start_token_id)
        output = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=start,
            use_cache=True,
        )
        self._cache = output.past_key_values
        self._logits = output.logits[:, -1]

    def rows(self, units: Tensor, *, room: int) -> Rows:
        """Return a row per candidate; see :class:`msp.engines.decode.Prefill`."""
        if can_share_encoding(self._model, self._cache):
            return SharedSeq2SeqRows(
                self._model,
                logits=self._logits,
                cache=self._cache,
                encoded=self._encoded,
                mask=self._mask,
                units=units,
                room=room,
            )
        return Seq2SeqRows(
            self._model,
            logits=self._logits[units],
            cache=repeat_cache(self._cache, units, room=room),
            encoded=self._encoded[units],
            mask=self._mask[units],
        )


def _encoded(model: Any, prompts: Sequence[Tensor]) -> tuple[Tensor, int]:
    """Return what the encoder says of each prompt, [U, T, H], and how many positions it computed.

    Args:
        model: a transformers encoder-decoder LM.
        prompts: [L, H], the longest first.
    """
    encoder, encoded, num_positions = model.get_encoder(), [], 0
    for part in like_lengths(prompts, least=positions_at_least(prompts[0].device)):
        embeddings, mask = pad_prompts(prompts[part], left=False)
        hidden = encoder(inputs_embeds=embeddings, attention_mask=mask.long()).last_hidden_state
        missing = len(prompts[0]) - hidden.shape[1]
        encoded.append(torch.nn.functional.pad(hidden, (0, 0, 0, missing)))
        num_positions += mask.numel()
    return torch.cat(encoded), num_positions


class Seq2SeqRows:
    """Rows of any encoder-decoder LM, each with a copy of its encoded prompt.

    See :class:`msp.engines.decode.Rows`.
    """

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
