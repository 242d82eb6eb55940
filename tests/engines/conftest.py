"""The tiny LMs as the engines take them, and requests for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig
from msp.engines.base import Request
from msp.models.frozen_lm import FrozenLM, load_frozen_lm

HIDDEN_SIZE = 32


@pytest.fixture(scope="session")
def tiny_llama(tiny_llama_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")


@pytest.fixture(scope="session")
def tiny_t5(tiny_t5_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_t5_path), dtype="float32"), device="cpu")


@pytest.fixture(params=["tiny_llama", "tiny_t5"])
def tiny_lm(request: pytest.FixtureRequest) -> FrozenLM:
    """Each kind of LM in turn."""
    lm: FrozenLM = request.getfixturevalue(request.param)
    return lm


@pytest.fixture(scope="session")
def make_request() -> Callable[..., Request]:
    """Requests whose soft prompt and context follow from the unit's number."""

    def make(
        unit_id: int = 0, *, num_candidates: int = 3, soft: int = 4, context: str | None = None
    ) -> Request:
        maker = torch.Generator().manual_seed(unit_id)
        words = "check in; late [6 pm]: " * (unit_id % 4) + f"{unit_id})"
        return Request(
            unit_id=unit_id,
            context=words if context is None else context,
            soft=torch.randn(soft, HIDDEN_SIZE, generator=maker) if soft else None,
            num_candidates=num_candidates,
            random_seed=unit_id << 16,
        )

    return make
