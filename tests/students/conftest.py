"""A toy task whose labels can be read off the words."""

from __future__ import annotations

import pytest

from msp.config import StudentConfig
from msp.records import Example

LABELS = ("how", "spa", "breakfast", "never")
_TEXTS = {
    "how do i get to the spa": ("how", "spa"),
    "how does breakfast work": ("how", "breakfast"),
    "is the spa open": ("spa",),
    "i want breakfast in my room": ("breakfast",),
    "how do i leave": ("how",),
    "hello there": (),
    "book me a massage in the spa": ("spa",),
    "breakfast for two please": ("breakfast",),
}


@pytest.fixture(scope="session")
def toy_examples() -> tuple[Example, ...]:
    return tuple(
        Example(f"toy-{i}", text, labels) for i, (text, labels) in enumerate(_TEXTS.items())
    )


@pytest.fixture(scope="session")
def toy_config() -> StudentConfig:
    return StudentConfig(num_steps=120, batch_size=8, hidden_size=32, learning_rate=5e-3)
