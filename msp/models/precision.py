"""Which number format is fastest where a model runs, and precise enough for frozen weights."""

from __future__ import annotations

from typing import Any

import torch

# Instructions that multiply bfloat16. Without one of them a processor computes it through
# float32, slower than float32 itself.
_NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16")


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device multiplies in it natively, else float32.

    Measured with MiniLM and the built-in LM on a processor with avx512_bf16:
    matrix products twice as fast, cosines of embeddings above 0.9998.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = any(_capabilities().get(name, False) for name in _NATIVE_BFLOAT16)
    return torch.bfloat16 if native else torch.float32


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the torch type of a config's ``auto``, ``float32``, ``bfloat16`` or ``float16``."""
    if name == "auto":
        return fast_dtype(device)
    chosen: torch.dtype = getattr(torch, name)
    return chosen


def _capabilities() -> dict[str, Any]:
    # Older versions of torch cannot tell; float32 is right everywhere.
    ask = getattr(torch.cpu, "get_capabilities", None)
    return dict(ask()) if ask else {}
