"""The number format follows the device, and what a config names is taken as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig
from msp.models import precision
from msp.models.encoder import load_encoder
from msp.models.frozen_lm import load_frozen_lm
from msp.models.precision import fast_dtype, resolve_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx2": True, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_bfloat16_is_for_processors_that_multiply_in_it(flags, dtype, monkeypatch) -> None:
    monkeypatch.setattr(precision, "_capabilities", lambda: flags)
    assert fast_dtype(CPU) == resolve_dtype("auto", CPU) == dtype


def test_a_named_format_is_taken_whatever_the_device(tiny_llama_path: Path) -> None:
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        config = ModelConfig(name=str(tiny_llama_path), dtype=name)
        assert load_frozen_lm(config, device="cpu").model.dtype == dtype


def test_embeddings_in_bfloat16_are_nearly_those_in_float32() -> None:
    texts = ["how do i check out after 6 pm", "spa", "is breakfast free for my two kids?", ""]
    exact, fast = (
        load_encoder("minilm", device="cpu", dtype=dtype).encode(texts)
        for dtype in ("float32", "bfloat16")
    )
    assert fast.dtype == exact.dtype and ((exact * fast).sum(axis=1) > 0.999).all()
