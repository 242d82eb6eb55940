"""Soft prompts that are computed from an example's embedding instead of looked up (SoftSRV).

P = P_theta(z), z a frozen sentence embedding of a real text; theta learns to let the
frozen LM write that text again (DeSalvo et al., arXiv 2410.16534, section 3).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from msp.errors import ConfigError, did_you_mean


class ContextualSizes(NamedTuple):
    """What the parameters of a form depend on.

    Args:
        vector_size: D, of the sentence embedding.
        length: P, positions of the prompt.
        hidden_size: H, of the LM's embeddings.
        num_bases: k, of ``mixture``.
        width: W, of the networks of ``mlp``.
    """

    vector_size: int
    length: int
    hidden_size: int
    num_bases: int
    width: int


class Contextual(nn.Module, ABC):
    """Turns embeddings [B, D] into soft prompts [B, P, H].

    Args:
        sizes: of its parameters.
        start: [k, P, H], what prompts start as; most forms take the first alone.
    """

    def __init__(self, sizes: ContextualSizes, start: Tensor) -> None:
        super().__init__()
        assert start.shape == (sizes.num_bases, sizes.length, sizes.hidden_size)
        self.sizes = sizes

    def forward(self, vectors: Tensor) -> Tensor:
        """Return one prompt [P, H] for each unit-length vector: [B, D] -> [B, P, H]."""
        # With length 1 a vector's numbers are tiny beside the weights that they meet. These are
        # bfloat16 where DeepSpeed tunes in it.
        scaled = vectors * math.sqrt(self.sizes.vector_size)
        prompts: Tensor = self.prompts(scaled.to(next(self.parameters()).dtype))
        return prompts

    @abstractmethod
    def prompts(self, scaled: Tensor) -> Tensor:
        """Return [B, P, H] for vectors [B, D] whose numbers have a mean square of 1."""

    @staticmethod
    @abstractmethod
    def num_parameters(sizes: ContextualSizes) -> int:
        """Return how many numbers learn."""


class NonContextual(Contextual):
    """``nsp``: one learned prompt whatever the example, ``P(z) = P``; P*H parameters."""

    def __init__(self, sizes: ContextualSizes, start: Tensor) -> None:
        super().__init__(sizes, start)
        self.prompt = nn.Parameter(start[0].detach().clone())

    def prompts(self, scaled: Tensor) -> Tensor:
        """Return the one prompt for each row; see :class:`Contextual`."""
        return self.prompt[None].expand(len(scaled), -1, -1)

    @staticmethod
    def num_parameters(sizes: ContextualSizes) -> int:
        """Return P*H."""
        return sizes.length * sizes.hidden_size


class BasisMixture(Contextual):
    """``mixture``: ``P(z) = sum_i softmax(A z + b)_i P_i``, k learned bases; k(P*H + D + 1).

    A and b start at zero, so every example starts with the mean of the bases.
    """

    def __init__(self, sizes: ContextualSizes, start: Tensor) -> None:
        super().__init__(sizes, start)
        self.bases = nn.Parameter(start.detach().clone())
        self.weights = nn.Linear(sizes.vector_size, sizes.num_bases)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def prompts(self, scaled: Tensor) -> Tensor:
        """Return the bases mixed for each row; see :class:`Contextual`."""
        weights = self.weights(scaled).softmax(dim=-1)
        return torch.einsum("bk,kph->bph", weights, self.bases)

    @staticmethod
    def num_parameters(sizes: ContextualSizes) -> int:
        """Return k(P*H + D + 1)."""
        of_base = sizes.length * sizes.hidden_size + sizes.vector_size + 1
        return sizes.num_bases * of_base


class PositionNetworks(Contextual):
    """``mlp``: position p is ``C_p relu(A_p z + b_p) + d_p``, a small network of its own.

    P(D*W + W + W*H + H) parameters. C starts at zero, so every prompt starts as ``start``,
    and what an example adds is learned.
    """

    def __init__(self, sizes: ContextualSizes, start: Tensor) -> None:
        super().__init__(sizes, start)
        length, width = sizes.length, sizes.width
        # Drawn from a generator of its own: the same in every worker and after a resume.
        drawn = torch.randn(
            length, sizes.vector_size, width, generator=torch.Generator().manual_seed(0)
        )
        self.inner = nn.Parameter(drawn / math.sqrt(sizes.vector_size))
        self.inner_bias = nn.Parameter(torch.zeros(length, width))
        self.outer = nn.Parameter(torch.zeros(length, width, sizes.hidden_size))
        self.outer_bias = nn.Parameter(start[0].detach().clone())

    def prompts(self, scaled: Tensor) -> Tensor:
        """Return what the networks make of each row; see :class:`Contextual`."""
        inner = torch.einsum("bd,pdw->bpw", scaled, self.inner) + self.inner_bias
        return torch.einsum("bpw,pwh->bph", inner.relu(), self.outer) + self.outer_bias

    @staticmethod
    def num_parameters(sizes: ContextualSizes) -> int:
        """Return P(D*W + W + W*H + H)."""
        inner = (sizes.vector_size + 1) * sizes.width
        return sizes.length * (inner + (sizes.width + 1) * sizes.hidden_size)


FORMS: dict[str, type[Contextual]] = {
    "nsp": NonContextual,
    "mixture": BasisMixture,
    "mlp": PositionNetworks,
}


def find_form(name: str) -> type[Contextual]:
    """Return the form of a name.

    Raises:
        ConfigError: no form has that name.
    """
    if name not in FORMS:
        raise ConfigError(
            f"prompts.contextual_form is {name!r}; there are {', '.join(FORMS)}"
            f"{did_you_mean(name, FORMS)}."
        )
    return FORMS[name]
