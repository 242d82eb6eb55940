"""What every mixture is: attribute prompts and a choice of them in, one mixed prompt each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

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


class Mixture(nn.Module, ABC):
    """Turns the prompts of the present attributes into one prompt per example."""

    @abstractmethod
    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Mix ``prompts`` [A, P, H] for ``present`` [B, A]; ``text`` [B, H] may condition it.

        Raises:
            ConstraintError: an example has no attribute.
        """

    @abstractmethod
    def length(self, prompt_length: int, num_present: int) -> int:
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
