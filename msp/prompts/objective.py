"""What prompt tuning minimises: the cross-entropy of the target, given soft prompt and context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from msp.models.frozen_lm import FrozenLM, input_embedding
from msp.prompts.encode import EncodedExample
from msp.prompts.mixtures import MixedPrompt, text_summary
from msp.prompts.soft import InstructionPrompt, SoftPrompts
from msp.prompts.vectors import Vectors

IGNORED = -100
"""The label of a position whose token is not learned."""


class Batch(NamedTuple):
    """Encoded examples as tensors, padded at the end.

    Args:
        present: [B, A] bool.
        context: [B, C] token ids.
        context_mask: [B, C] bool.
        target: [B, T] token ids.
        target_mask: [B, T] bool.
        vectors: [B, D], what contextual prompts are computed from; D is 0 where there are none.
    """

    present: Tensor
    context: Tensor
    context_mask: Tensor
    target: Tensor
    target_mask: Tensor
    vectors: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(tensor.to(device) for tensor in self))


def collate(
    examples: Sequence[EncodedExample],
    num_attributes: int,
    pad_id: int,
    vectors: Vectors | None = None,
) -> Batch:
    """Return the examples as one batch, padded to the longest and no further.

    Args:
        examples: at least one.
        num_attributes: A, of the ontology.
        pad_id: the token that fills shorter rows.
        vectors: of the examples, where a contextual prompt reads them.
    """
    present = torch.zeros(len(examples), num_attributes, dtype=torch.bool)
    for row, example in enumerate(examples):
        present[row, list(example.present)] = True
    context, context_mask = _padded([example.context for example in examples], pad_id)
    target, target_mask = _padded([example.target for example in examples], pad_id)
    rows = [vectors[example.uid] if vectors else torch.zeros(0) for example in examples]
    return Batch(present, context, context_mask, target, target_mask, torch.stack(rows))


class TuningObjective(nn.Module):
    """The frozen LM with soft prompts before its text; only the soft prompts learn.

    Args:
        lm: decides the form: a causal LM reads soft prompt, context and target
            as one sequence; an encoder reads the first two and its decoder the target.
        soft: the prompts; an instruction prompt of length 0 leaves the text alone.
        shares_instruction: compute the instruction prompt, with which every row of a batch
            begins, once for all of them; not with layers that are computed again going back,
            which would lengthen the cache it is kept in. An encoder reads both ways, so
            there it cannot be shared.
    """

    def __init__(
        self,
        lm: FrozenLM,
        soft: SoftPrompts | InstructionPrompt,
        *,
        shares_instruction: bool = True,
    ) -> None:
        super().__init__()
        self.lm = lm.model
        self.soft = soft
        self.shares_instruction = shares_instruction
        self.is_encoder_decoder = lm.is_encoder_decoder
        self.train()

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
        return nn.functional.cross_entropy(logits.float(), labels, reduction="sum")

    def _causal(self, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.target.masked_fill(~batch.target_mask, IGNORED)
        text = self.lm.get_input_embeddings()(torch.cat([batch.context, batch.target], dim=1))
        soft, soft_mask = self._mixed(batch, text[:, : batch.context.shape[1]])
        mask = torch.cat([soft_mask, batch.context_mask, batch.target_mask], dim=1)
        inputs = torch.cat([soft.to(text.dtype), text], dim=1)
        skipped = labels.new_full((labels.shape[0], mask.shape[1] - labels.shape[1]), IGNORED)
        inputs, mask, labels = _pushed_left(inputs, mask, torch.cat([skipped, labels], dim=1))
        # Padding stands at the end only, where a causal LM never looks back from a real
        # position, so no attention mask is needed.
        is_target = labels != IGNORED
        before = nn.functional.pad(is_target[:, 1:], (0, 1))
        shared = self.soft.instruction.shape[0] if self.shares_instruction else 0
        cache = _cache_of(self.lm, inputs[:1, :shared], len(inputs)) if shared else None
        before = before[:, shared:]
        with _scored_at(self.lm, before):
            logits = self.lm(
                inputs_embeds=inputs[:, shared:], past_key_values=cache, use_cache=bool(cache)
            ).logits
        return _rows_at(logits, before), labels[is_target]

    def _mixed(self, batch: Batch, context: Tensor) -> MixedPrompt:
        """Return the soft prompts of a batch whose contexts have the embeddings [B, C, H]."""
        summary = None
        if self.soft.reads_text:
            summary = text_summary(context, batch.context_mask)
        mixed: MixedPrompt = self.soft(batch.present, summary, batch.vectors)
        return mixed

    def _seq2seq(self, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.target.masked_fill(~batch.target_mask, IGNORED)
        text = input_embedding(self.lm, is_encoder_decoder=True)(batch.context)
        soft, soft_mask = self._mixed(batch, text)
        mask = torch.cat([soft_mask, batch.context_mask], dim=1)
        inputs = torch.cat([soft.to(text.dtype), text], dim=1)
        inputs, mask, _ = _pushed_left(inputs, mask, torch.zeros_like(mask, dtype=torch.long))
        with _scored_at(self.lm, batch.target_mask):
            logits = self.lm(
                inputs_embeds=inputs,
                attention_mask=mask.long(),
                decoder_input_ids=self.lm.prepare_decoder_input_ids_from_labels(labels),
                use_cache=False,
            ).logits
        return _rows_at(logits, batch.target_mask), batch.target[batch.target_mask]


def _cache_of(lm: Any, start: Tensor, batch_size: int) -> Any:
    """Return the keys and values [B, ...] of a start [1, P, H] that all rows have in common."""
    from transformers import DynamicCache

    cache = DynamicCache(config=lm.config)
    lm.base_model(inputs_embeds=start, past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(batch_size)
    return cache


@contextmanager
def _scored_at(lm: Any, positions: Tensor) -> Iterator[None]:
    """Let the LM's output layer score the given positions [B, S] alone for a while.

    It is a large part of a small LM's work, and most positions are prompt. A hook, since
    what stands around that layer (scaling, capping) is each LM's own.
    """
    head = lm.get_output_embeddings()
    if head is None:
        yield
        return

    def pick(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        hidden = inputs[0]
        return (hidden[positions][None],) if hidden.shape[:2] == positions.shape else None

    hook = head.register_forward_pre_hook(pick)
    try:
        yield
    finally:
        hook.remove()


def _rows_at(logits: Tensor, positions: Tensor) -> Tensor:
    """Return the logits [K, V] of K positions, whether the LM scored them alone or all."""
    scored_all = logits.shape[:2] == positions.shape
    return logits[positions] if scored_all else logits[0]


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
