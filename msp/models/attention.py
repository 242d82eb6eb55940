"""Which way of computing attention is fastest where gradients go back through an LM."""

from __future__ import annotations

from typing import Any

import torch


def use_fast_attention(model: Any, *, dtype: torch.dtype) -> None:
    """Let an LM whose gradients are computed in bfloat16 on a CPU do its attention step by step.

    torch's fused kernel goes back through bfloat16 slowly there: 16 rows of 169
    positions and 4 heads took 44 ms a layer forth and back, plain products 22;
    tuning the built-in LM gained a sixth, pre-training it three tenths. A GPU
    keeps its fused kernel, and so does float32, where both are alike. The price
    is memory: rows x heads x length² numbers a layer, which
    ``tune.activation_checkpointing`` gives back.

    Args:
        model: a transformers LM.
        dtype: what its products are computed in (autocast's, where that is on).
    """
    if model.device.type == "cpu" and dtype == torch.bfloat16:
        model.set_attn_implementation("eager")
