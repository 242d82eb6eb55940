"""A small task on a tiny LM, for the methods that learn a model of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from msp.config import RunConfig
from msp.records import Attribute, Example
from msp.tasks.base import TaskData, content_hash
from msp.tasks.ontology import Ontology

WORDS = {"spa": "the spa is warm", "bill": "a bill to pay", "room": "our room is big"}


@pytest.fixture(scope="session")
def small_task() -> TaskData:
    """Three labels, each with words that no other has; some examples have two."""
    ontology = Ontology(tuple(Attribute(name, name) for name in WORDS))
    names = list(WORDS)

    def examples(prefix: str, number: int) -> tuple[Example, ...]:
        asked = [{names[i % 3], names[(i // 3) % 3]} for i in range(number)]
        return tuple(
            Example(
                f"{prefix}-{i}",
                " and ".join(WORDS[name] for name in names if name in labels),
                tuple(name for name in names if name in labels),
            )
            for i, labels in enumerate(asked)
        )

    splits = (examples("seed", 18), examples("dev", 6), examples("test", 6))
    return TaskData(ontology, "general", *splits, content_hash(ontology, *splits))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunConfig]:
    """Configs of runs on a tiny LM: ``make_run(lm_path, method="clm", tune={...})``."""

    def make(lm_path: Path, tune: dict[str, Any] | None = None, **generate: Any) -> RunConfig:
        defaults = {"num_epochs": 3, "batch_size": 6, "precision": "float32", "patience": 99}
        return RunConfig.model_validate(
            {
                "output_uri": str(tmp_path / "run"),
                "task": {"name": "jsonl", "path": "unused.jsonl"},
                "model": {"name": str(lm_path), "dtype": "float32"},
                "prompts": {"instruction_length": 4, "attribute_length": 2, "num_exemplars": 1},
                "tune": {**defaults, **(tune or {})},
                "generate": {"max_new_tokens": 24, **generate},
            }
        )

    return make
