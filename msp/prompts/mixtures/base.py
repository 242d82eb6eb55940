"""What every mixture is: attribute prompts and a choice of them in, one mixed prompt each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from msp.errors import ConstraintError


class MixedPrompt(NamedTuple):
    """Soft prompts of a batch, padded at the end.

    Args:
        embeddings: [B, S, H]; zero where the mask is false.
        mask: [B, S] bool, false where a row is padding.
    """

    embeddings: Tensor
    mask: Tensor


class MixtureSizes(NamedTuple):
    """What a mixture's own parameters depend on.

    Args:
        num_attributes: A, of the ontology.
        prompt_length: P, of an attribute prompt.
        hidden_size: H, of the LM's embeddings.
    """

    num_attributes: int
    prompt_length: int
    hidden_size: int


class Mixture(nn.Module, ABC):
    """Turns the prompts of the present attributes into one prompt per example.

    Args:
        sizes: for mixtures with parameters of their own; their fresh values are always the same.
    """

    reads_text: ClassVar[bool] = False
    """Whether ``forward`` needs ``text``."""

    def __init__(self, sizes: MixtureSizes) -> None:
        super().__init__()
        self.sizes = sizes

    @abstractmethod
    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Mix ``prompts`` [A, P, H] for ``present`` [B, A]; ``text`` [B, H] may condition it.

        ``text`` is :func:`text_summary` of the context that follows the prompt.

        Raises:
            ConstraintError: an example has no attribute.
        """

    def blend(self, prompts: Tensor, shares: Tensor) -> Tensor:
        """Return ``sum_a shares_a prompts_a`` as the mixture leaves one attribute's prompt.

        Two classes at once are not two attributes: the text is a little of each.
        So their prompts become one (PromptMix, arXiv 2310.14192, by soft
        prompts), which has the length of a single attribute's and which most
        mixtures, asked for one attribute, hand on as it is.

        Args:
            prompts: [A, P, H].
            shares: [B, A], none negative; each row sums to 1.

        Returns:
            [B, P, H]; where one attribute has all, what :meth:`forward` gives for it alone.
        """
        return torch.einsum("ba,aph->bph", shares.to(prompts.dtype), prompts)

    @staticmethod
    @abstractmethod
    def length(prompt_length: int, num_present: int) -> int:
        """Return how many positions an example with ``num_present`` attributes takes."""


def check_present(present: Tensor) -> None:
    """Refuse a batch in which an example carries no attribute: there is nothing to mix."""
    if not bool(present.any(dim=1).all()):
        row = int((~present.any(dim=1)).nonzero()[0, 0])
        raise ConstraintError(
            f"example {row} of the batch asks for no attribute and no slot, so it has no soft "
            "prompt; give its constraint at least one."
        )


def full_mask(embeddings: Tensor) -> Tensor:
    """Return the mask [B, S] of embeddings [B, S, H] without padding."""
    return torch.ones(embeddings.shape[:2], dtype=torch.bool, device=embeddings.device)


def text_summary(embeddings: Tensor, mask: Tensor) -> Tensor:
    """Return the largest value of each dimension over a text's tokens, [B, H] float32.

    Args:
        embeddings: [B, T, H], the LM's input embeddings of the context's tokens.
        mask: [B, T] bool, false where a row is padding; a row of padding alone gives zeros.
    """
    shown = embeddings.float().masked_fill(~mask[:, :, None], -torch.inf)
    return shown.amax(dim=1).masked_fill(~mask.any(dim=1)[:, None], 0.0)


def weighted_sum(prompts: Tensor, scores: Tensor, present: Tensor) -> MixedPrompt:
    """Return ``sum_a softmax(scores)_a prompts_a`` over the attributes that are present.

    Args:
        prompts: [A, P, H].
        scores: [B, A].
        present: [B, A] bool; the others have weight exactly 0.

    Returns:
        embeddings [B, P, H], no padding.
    """
    weights = scores.masked_fill(~present, -torch.inf).softmax(dim=1)
    mixed = torch.einsum("ba,aph->bph", weights.to(prompts.dtype), prompts)
    return MixedPrompt(mixed, full_mask(mixed))
