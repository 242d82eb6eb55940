"""Which way of computing attention is fastest where prompts are tuned."""

from __future__ import annotations

from typing import Any

import torch


def tune_with_fast_attention(model: Any) -> None:
    """Let an LM that is tuned in bfloat16 on a CPU compute its attention step by step.

    torch's fused kernel goes back through bfloat16 slowly there: 16 rows of 169
    positions and 4 heads took 44 ms a layer forth and back, plain products 22,
    and tuning the built-in LM gained a sixth. A GPU keeps its fused kernel, and so
    does float32, where both are alike. The price is memory: rows x heads x length²
    numbers a layer, which ``tune.activation_checkpointing`` gives back.

    Args:
        model: a transformers LM.
    """
    if model.device.type == "cpu" and model.dtype == torch.bfloat16:
        model.set_attn_implementation("eager")
