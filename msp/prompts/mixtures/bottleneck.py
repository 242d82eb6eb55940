"""Bottleneck: attention whose query is the text as seen through a narrow network that learns."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from msp.prompts.mixtures.attention import attribute_scores
from msp.prompts.mixtures.base import (
    MixedPrompt,
    Mixture,
    MixtureSizes,
    check_present,
    weighted_sum,
)

# MSP's width (section 3.3, as in ATTEMPT, arXiv 2205.11961).
BOTTLENECK_SIZE = 300


class Bottleneck(Mixture):
    """Weighs the attribute prompts by what it has learned to look for in the text.

    With x the summary of the text, D and U learned, and m(P_a) as in
    :class:`~msp.prompts.mixtures.attention.Attention`::

        q = LayerNorm( U SiLU(D x) )
        w = softmax_a( m(P_a) . q / sqrt(H) )     over the present attributes
        P = sum_a w_a P_a
    """

    reads_text: ClassVar[bool] = True

    def __init__(self, sizes: MixtureSizes) -> None:
        super().__init__(sizes)
        hidden_size = sizes.hidden_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.down = nn.Linear(hidden_size, min(BOTTLENECK_SIZE, hidden_size), bias=False)
            self.up = nn.Linear(self.down.out_features, hidden_size, bias=False)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Return the weighted sum of the present attributes' prompts.

        Args:
            prompts: [A, P, H].
            present: [B, A] bool.
            text: [B, H], see :func:`msp.prompts.mixtures.base.text_summary`.

        Returns:
            embeddings [B, P, H] and mask [B, P], true everywhere.

        Raises:
            ConstraintError: an example has no attribute.
        """
        check_present(present)
        assert text is not None
        hidden = nn.functional.silu(self.down(text.to(self.down.weight.dtype)))
        query = self.norm(self.up(hidden))
        return weighted_sum(prompts, attribute_scores(prompts, query), present)

    @staticmethod
    def length(prompt_length: int, num_present: int) -> int:
        """Return ``P``."""
        return prompt_length
