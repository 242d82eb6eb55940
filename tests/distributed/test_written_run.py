"""A run whose answers are written out, from seed examples to the report, on a tiny LM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray

from msp.config import RunConfig
from msp.distributed.run import run_stage

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def config(folder: Path, lm_path: Path, method: str) -> RunConfig:
    for name, numbers in {"train": range(10), "test": range(10, 16)}.items():
        rows = [{"question": f"{n} plus 1?", "answer": f"#### {n + 1}"} for n in numbers]
        lines = [f"{json.dumps(row)}\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    tree: dict[str, Any] = {
        "output_uri": str(folder / "run"),
        "task": {"name": "gsm8k", "path": str(folder)},
        "model": {"name": str(lm_path)},
        "prompts": {"contextual_length": 8, "contextual_width": 8},
        "tune": {"num_epochs": 12, "learning_rate": 0.1, "max_dev_generations": 0},
        "generate": {"method": method, "max_new_tokens": 40, "temperature": 0.3},
        "denoise": {
            "distance_weight": 1,
            "disagreement_weight": 0,
            "max_noise_score": 2,
            "max_drop_rate": 1,
        },
        "student": {"kind": "finetune", "lm": str(lm_path), "num_seeds": 1, "num_steps": 2},
    }
    if method == "softsrv":
        tree["prompts"]["source"] = "example"
    return RunConfig.model_validate(tree)


@pytest.mark.parametrize("method", ["softsrv", "hard_prompt"])
def test_questions_with_answers_are_made_judged_and_learned(
    tiny_llama_path: Path, tmp_path: Path, method: str
) -> None:
    run = config(tmp_path, tiny_llama_path, method)
    line = run_stage("run", run)
    figures = json.loads((tmp_path / "run/metrics.json").read_text())
    assert figures["student"]["headline"] == ["final_answer_match"]
    assert set(line["seed_only"]) == set(line["augmented"]) == {"final_answer_match"}
    units = [
        row
        for path in sorted((tmp_path / "run/candidates").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    candidates = [candidate for unit in units for candidate in unit["candidates"]]
    assert candidates
    for candidate in candidates:
        if candidate["kept"]:
            assert candidate["target"] and candidate["text"].endswith(candidate["target"])
    assert {c["reason"] for c in candidates if " Answer: " not in c["text"]} <= {
        "unanswered",
        "empty",
        "duplicate_in_unit",
        "copy_of_seed",
    }
    assert "Final-answer match" in (tmp_path / "run/report.html").read_text()
    assert run_stage("run", run) == line
