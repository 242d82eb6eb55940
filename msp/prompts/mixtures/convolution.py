"""Convolution: present attributes' prompts as the channels of a picture, folded into one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msp.prompts.mixtures.base import (
    MixedPrompt,
    Mixture,
    MixtureSizes,
    check_present,
    full_mask,
)

_CHANNELS = 8
_NOISE = 0.01


class Convolution(Mixture):
    """Lets neighbouring positions and dimensions of all present prompts meet (MSP, section 3.3).

    The prompts of the n present attributes, zero for the absent ones, are the
    channels of a picture of P by H::

        X_a = P_a / n  where a is present, else 0
        P   = Conv3x3( ReLU( Conv3x3(X) ) )       A -> 8 -> 1 channels

    No ReLU stands at the end, since embeddings have both signs. The filters
    start as the mean of the present prompts with a little noise: half of the
    channels carry it and half its negative, so that the ReLU loses nothing.
    """

    def __init__(self, sizes: MixtureSizes) -> None:
        super().__init__(sizes)
        self.first = nn.Conv2d(sizes.num_attributes, _CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(_CHANNELS, 1, 3, padding=1)
        generator = torch.Generator().manual_seed(0)
        signs = torch.tensor([1.0, -1.0]).repeat(_CHANNELS // 2)
        with torch.no_grad():
            for layer in (self.first, self.second):
                noise = torch.randn(layer.weight.shape, generator=generator)
                layer.weight.copy_(noise * _NOISE / sizes.num_attributes**0.5)
                if layer.bias is not None:
                    layer.bias.zero_()
            self.first.weight[:, :, 1, 1] += signs[:, None]
            self.second.weight[0, :, 1, 1] += signs / (_CHANNELS // 2)

    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Return the folded prompts of the present attributes.

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
        mixed = self.blend(prompts, weights / weights.sum(dim=1, keepdim=True))
        return MixedPrompt(mixed, full_mask(mixed))

    def blend(self, prompts: Tensor, shares: Tensor) -> Tensor:
        """Return the folded prompts, each as strong in its channel as its share [B, A] says."""
        channels = shares.to(prompts.dtype)[:, :, None, None] * prompts[None]
        folded: Tensor = self.second(torch.relu(self.first(channels)))[:, 0]
        return folded

    @staticmethod
    def length(prompt_length: int, num_present: int) -> int:
        """Return ``P``."""
        return prompt_length
