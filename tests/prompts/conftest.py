"""A small task, and the tiny checkpoints loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.config import ModelConfig
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.records import Attribute, Example
from msp.tasks.base import TaskData, content_hash
from msp.tasks.ontology import Ontology


@pytest.fixture(scope="session")
def ontology() -> Ontology:
    return Ontology(
        attributes=(
            Attribute("check_out", "the guest wants to leave"),
            Attribute("how", "the guest asks how to do something"),
            Attribute("refund", "the guest wants money back"),
        ),
        slots=(Attribute("time", "a time of day"), Attribute("name", "a person's name")),
        domains={"front_desk": "the front desk of a hotel"},
    )


@pytest.fixture(scope="session")
def seeds() -> tuple[Example, ...]:
    rows = [
        ("how do i leave after 6 pm", ("check_out", "how"), {"time": ("6 pm",)}),
        ("i check out at noon", ("check_out",), {"time": ("noon",)}),
        ("how can i get my money back", ("how", "refund"), {}),
        ("a refund for John Smith", ("refund",), {"name": ("John Smith",)}),
        ("is it 7 am", (), {"time": ("7 am",)}),
        ("hello there", (), {}),
        ("how do i check out", ("check_out", "how"), {}),
        ("money back please", ("refund",), {}),
    ]
    return tuple(
        Example(f"e{i}", text, labels, values, "front_desk")
        for i, (text, labels, values) in enumerate(rows)
    )


@pytest.fixture(scope="session")
def task(ontology: Ontology, seeds: tuple[Example, ...]) -> TaskData:
    dev = (
        Example("d0", "can i leave at 5", ("check_out",), {"time": ("5",)}, "front_desk"),
        Example("d1", "how do refunds work", ("how", "refund"), {}, "front_desk"),
    )
    hashed = content_hash(ontology, seeds, dev)
    return TaskData(ontology, "front_desk", seeds, dev, (), hashed)


@pytest.fixture(scope="session")
def llama(tiny_llama_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")


@pytest.fixture(scope="session")
def t5(tiny_t5_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_t5_path), dtype="float32"), device="cpu")
