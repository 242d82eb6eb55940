"""A preview judges real units of the plan and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.config import RunConfig
from msp.preview import preview_run


def config(output: Path, **model: object) -> RunConfig:
    engine = "hf" if model else "scripted"
    tree = {
        "output_uri": str(output),
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        "generate": {"engine": engine, "max_new_tokens": 16},
        "prompts": {"instruction_length": 4, "attribute_length": 2, "num_exemplars": 0},
        **({"model": model} if model else {}),
    }
    return RunConfig.model_validate(tree)


def test_a_preview_shows_as_many_candidates_as_asked_for_from_several_units(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = preview_run(config(tmp_path / "out"), 5)
    assert result["num_candidates"] == 5
    assert len({candidate["unit"] for candidate in result["candidates"]}) == 3
    assert all(c["kept"] == (c["reason"] is None) for c in result["candidates"])
    assert "verdict" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))


def test_a_preview_before_tuning_says_that_its_prompts_are_not_tuned(
    tmp_path: Path, tiny_llama_path: Path
) -> None:
    result = preview_run(config(tmp_path / "out", name=str(tiny_llama_path)), 2)
    assert "not tuned" in result["prompts"]
    assert result["num_candidates"] == 2
