"""What tests of several methods make: units, and an opening of a method on the sample task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msp.config import RunConfig
from msp.methods import Opening
from msp.methods.base import candidate_stream
from msp.prompts.text import constraint_of
from msp.records import Example, Unit
from msp.storage.store import open_run_store
from msp.tasks import load_task


def unit_of(text: str, *values: str, unit_id: int = 0, num_candidates: int = 5) -> Unit:
    """Return a rewriter's unit for a seed example with one slot."""
    source = Example(f"seed-{unit_id}", text, ("ask",), {"slot": values} if values else {})
    return Unit(
        id=unit_id,
        round=0,
        method="eda",
        seed_uid=source.uid,
        constraint=constraint_of(source),
        exemplars=(source,),
        num_candidates=num_candidates,
        random_seed=candidate_stream(13, unit_id),
    )


def opening_of(path: Path, **generate: Any) -> Opening:
    """Return an opening on the sample task with a store in a folder."""
    tree = {
        "output_uri": str(path / "run"),
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        # In fewer bits a random model's texts depend on the padding beside them.
        "model": {"dtype": "float32"},
        "generate": {"max_new_tokens": 12, **generate},
    }
    config = RunConfig.model_validate(tree)
    return Opening(config, load_task(config.task, seed=13), open_run_store(config))


# Of different lengths, one with a value of several words.
UNITS = [
    unit_of("Could we get a late breakfast tomorrow, please?", unit_id=0),
    unit_of("Move my spa visit to half past nine.", "half past nine", unit_id=1),
    unit_of("Hi.", unit_id=2, num_candidates=2),
]
