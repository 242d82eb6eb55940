"""Concatenation: every present attribute's prompt, one after the other, in the ontology's order."""

from __future__ import annotations

import torch
from torch import Tensor

from msp.prompts.mixtures.base import MixedPrompt, Mixture, check_present


class Concat(Mixture):
    """Keeps the attribute prompts whole, at the price of a length that grows with their number."""

    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Line up the present attributes' prompts; rows with fewer are padded at the end.

        Args:
            prompts: [A, P, H].
            present: [B, A] bool.
            text: not used.

        Returns:
            embeddings [B, n * P, H] and mask [B, n * P], n the most attributes of any row.

        Raises:
            ConstraintError: an example has no attribute.
        """
        check_present(present)
        num_present = present.sum(dim=1)
        width = int(num_present.max())
        chosen = present.logical_not().to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
        real = torch.arange(width, device=present.device)[None] < num_present[:, None]
        # Padding multiplies by zero, so an absent attribute's gradient is exactly zero.
        rows = prompts[chosen] * real[:, :, None, None].to(prompts.dtype)
        mask = real[:, :, None].expand(-1, -1, prompts.shape[1])
        return MixedPrompt(rows.flatten(1, 2), mask.flatten(1, 2))

    @staticmethod
    def length(prompt_length: int, num_present: int) -> int:
        """Return ``P * n``."""
        return prompt_length * num_present
