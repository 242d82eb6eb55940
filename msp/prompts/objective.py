"""What prompt tuning minimises: the cross-entropy of the target, given soft prompt and context."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from msp.models.frozen_lm import FrozenLM
from msp.prompts.encode import EncodedExample
from msp.prompts.soft import SoftPrompts

IGNORED = -100
"""The label that :func:`torch.nn.functional.cross_entropy` skips."""


class Batch(NamedTuple):
    """Encoded examples as tensors, padded at the end.

    Args:
        present: [B, A] bool.
        context: [B, C] token ids.
        context_mask: [B, C] bool.
        target: [B, T] token ids.
        target_mask: [B, T] bool.
    """

    present: Tensor
    context: Tensor
    context_mask: Tensor
    target: Tensor
    target_mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(tensor.to(device) for tensor in self))


def collate(examples: Sequence[EncodedExample], num_attributes: int, pad_id: int) -> Batch:
    """Return the examples as one batch, padded to the longest and no further."""
    present = torch.zeros(len(examples), num_attributes, dtype=torch.bool)
    for row, example in enumerate(examples):
        present[row, list(example.present)] = True
    context, context_mask = _padded([example.context for example in examples], pad_id)
    target, target_mask = _padded([example.target for example in examples], pad_id)
    return Batch(present, context, context_mask, target, target_mask)


class TuningObjective(nn.Module):
    """The frozen LM with soft prompts before its text; only the soft prompts learn.

    Args:
        lm: decides the form: a causal LM reads soft prompt, context and target
            as one sequence; an encoder reads the first two and its decoder the target.
        soft: the prompts.
    """

    def __init__(self, lm: FrozenLM, soft: SoftPrompts) -> None:
        super().__init__()
        self.lm = lm.model
        self.soft = soft
        self.is_encoder_decoder = lm.is_encoder_decoder
        self.train()
        self._keeps_logits = "logits_to_keep" in inspect.signature(lm.model.forward).parameters

    def train(self, mode: bool = True) -> TuningObjective:
        """Set the mode of the prompts; the frozen LM stays in evaluation mode, without dropout."""
        super().train(mode)
        self.lm.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return the sum of the cross-entropy over the batch's target tokens, a float32 scalar.

        A sum, so that workers with different numbers of tokens add up to the
        loss of the whole batch.
        """
        logits, labels = self._seq2seq(batch) if self.is_encoder_decoder else self._causal(batch)
        return nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def _causal(self, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.target.masked_fill(~batch.target_mask, IGNORED)
        soft, soft_mask = self.soft(batch.present)
        text = self.lm.get_input_embeddings()(torch.cat([batch.context, batch.target], dim=1))
        mask = torch.cat([soft_mask, batch.context_mask, batch.target_mask], dim=1)
        inputs = torch.cat([soft.to(text.dtype), text], dim=1)
        skipped = labels.new_full((labels.shape[0], mask.shape[1] - labels.shape[1]), IGNORED)
        inputs, mask, labels = _pushed_left(inputs, mask, torch.cat([skipped, labels], dim=1))
        # Padding stands at the end only, where a causal LM never looks back from a real
        # position, so no attention mask is needed. The output layer, a large part of a small
        # LM's work, runs only where some row's next token is a target.
        before = (labels != IGNORED).any(dim=0).nonzero()[:, 0] - 1
        if self._keeps_logits:
            logits = self.lm(inputs_embeds=inputs, use_cache=False, logits_to_keep=before).logits
        else:
            logits = self.lm(inputs_embeds=inputs, use_cache=False).logits[:, before]
        return logits, labels[:, before + 1]

    def _seq2seq(self, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.target.masked_fill(~batch.target_mask, IGNORED)
        soft, soft_mask = self.soft(batch.present)
        text = self.lm.get_input_embeddings()(batch.context)
        mask = torch.cat([soft_mask, batch.context_mask], dim=1)
        inputs = torch.cat([soft.to(text.dtype), text], dim=1)
        inputs, mask, _ = _pushed_left(inputs, mask, torch.zeros_like(mask, dtype=torch.long))
        logits = self.lm(
            inputs_embeds=inputs,
            attention_mask=mask.long(),
            decoder_input_ids=self.lm.prepare_decoder_input_ids_from_labels(labels),
            use_cache=False,
        ).logits
        return logits, labels


def _pushed_left(inputs: Tensor, mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Close the gaps that padding left between the parts, and cut the common rest.

    So a position means the same in training as in generation, where a prompt
    has no padding inside.

    Args:
        inputs: [B, S, H].
        mask: [B, S] bool.
        labels: [B, S].
    """
    width = int(mask.sum(dim=1).max())
    order = mask.logical_not().to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
    index = order[:, :, None].expand(-1, -1, inputs.shape[2])
    return inputs.gather(1, index), mask.gather(1, order), labels.gather(1, order)


def _padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[place, : len(row)] = True
    return ids, mask
