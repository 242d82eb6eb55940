"""Low-rank adapters beside an LM's frozen layers: what changes an LM in megabytes.

A layer's output ``W x`` becomes ``W x + s B A x`` with A [r, in] and B [out, r]
(Hu et al., arXiv 2106.09685). A bank holds several adapters of one LM, and each
row of a batch may use another one, so that a forward pass serves many.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from msp.errors import CheckpointError

# s of the update: twice the ratio of one, as most published runs have it (alpha = 2 r).
_SCALE = 2.0


class LoraBank(nn.Module):
    """K adapters on every linear layer of an LM but its output layer; they start as no change.

    The LM's own modules stay as they are: hooks add to their outputs while a
    bank is in :meth:`use` or :meth:`active`, and at no other time.

    Args:
        model: a transformers LM.
        rank: r.
        num_adapters: K.
        seed: of the first weights.

    Raises:
        CheckpointError: the LM has no such layer.
    """

    def __init__(self, model: Any, *, rank: int, num_adapters: int = 1, seed: int = 0) -> None:
        super().__init__()
        layers = linear_layers(model)
        if not layers:
            raise CheckpointError(
                f"the LM ({type(model).__name__}) has no linear layer for an adapter to stand "
                "beside; set generate.clm_weights to all, or use another model.name."
            )
        chance = torch.Generator().manual_seed(seed % 2**63)
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, (layer, size_in, size_out) in layers.items():
            start = torch.randn(num_adapters, rank, size_in, generator=chance) * size_in**-0.5
            key = name.replace(".", "/")  # a dot cannot stand in a parameter's name
            self.down[key] = nn.Parameter(start)
            self.up[key] = nn.Parameter(torch.zeros(num_adapters, size_out, rank))
            layer.register_forward_hook(self._hook(key))
        self.to(model.device)
        self._rows: Tensor | None = None
        self._is_active = False

    def use(self, rows: Tensor | None = None) -> None:
        """Let the LM's forward passes use the adapters from now on.

        Args:
            rows: [B] int64, the adapter of each row; None gives every row the first.
        """
        self._rows, self._is_active = rows, True

    @contextmanager
    def active(self, rows: Tensor) -> Iterator[None]:
        """Let forward passes of rows [B] use their adapters while the block runs."""
        before = self._rows, self._is_active
        self.use(rows)
        try:
            yield
        finally:
            self._rows, self._is_active = before

    def _hook(self, key: str) -> Any:
        def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            return output + self._change(key, inputs[0]) if self._is_active else None

        return add

    def _change(self, key: str, x: Tensor) -> Tensor:
        """Return s B A x for x [B, T, in], each row by its own adapter."""
        down, up = (part[key].to(x.dtype) for part in (self.down, self.up))
        if self._rows is None:
            down, up = down[0], up[0]
        else:
            assert x.ndim == 3 and len(x) == len(self._rows), (x.shape, len(self._rows))
            down, up = down[self._rows], up[self._rows]
        change: Tensor = (x @ down.mT) @ up.mT
        return _SCALE * change


def linear_layers(model: Any) -> dict[str, tuple[nn.Module, int, int]]:
    """Return the linear layers by name, each with its sizes in and out; not the output layer."""
    output = model.get_output_embeddings()
    found: dict[str, tuple[nn.Module, int, int]] = {}
    for name, layer in model.named_modules():
        if layer is output:
            continue
        if isinstance(layer, nn.Linear):
            found[name] = (layer, layer.in_features, layer.out_features)
        elif isinstance(layer, Conv1D):  # GPT-2's, whose weight is [in, out]
            found[name] = (layer, *layer.weight.shape)
    return found
