"""Pooling: the mean of the present attributes' prompts."""

from __future__ import annotations

import torch
from torch import Tensor

from msp.prompts.mixtures.base import MixedPrompt, Mixture, check_present, full_mask


class Pooling(Mixture):
    """Keeps length P however many attributes an example carries (MSP, section 3.3)."""

    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Average the attribute prompts that each example asks for.

        Args:
            prompts: [A, P, H].
            present: [B, A] bool.
            text: not used.

        Returns:
            embeddings [B, P, H] and mask [B, P], true everywhere.

        Raises:
            ConstraintError: an example has no attribute.
        """
        check_present(present)
        weights = present.to(prompts.dtype)
        weights = weights / weights.sum(dim=1, keepdim=True)
        mixed = torch.einsum("ba,aph->bph", weights, prompts)
        return MixedPrompt(mixed, full_mask(mixed))

    @staticmethod
    def length(prompt_length: int, num_present: int) -> int:
        """Return ``P``."""
        return prompt_length
