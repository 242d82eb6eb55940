"""The share of the second class reaches the LM: in words, or in the soft prompt alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from msp.config import RunConfig
from msp.methods import Opening, Writer, find_method, make_plan, tunes_prompts
from msp.records import Mix, Unit
from msp.storage.store import open_store
from msp.tasks import load_task


def config(path: Path, method: str, lm_path: str = "builtin") -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": "x",
            "task": {"name": "jsonl", "path": str(path), "predict": "label"},
            "model": {"name": lm_path, "dtype": "float32"},
            "generate": {"method": method, "num_candidates_per_unit": 3, "max_new_tokens": 8},
            "prompts": {"init": "vocabulary"},  # a byte a token, descriptions begin alike
            "denoise": {"num_kept_per_unit": 3},
        }
    )


def with_share(unit: Unit, alpha: float) -> Unit:
    assert unit.mix is not None
    return replace(unit, mix=Mix(unit.mix.attribute, alpha, unit.mix.group))


def writer(config: RunConfig, folder: Path) -> tuple[Writer, Unit]:
    task = load_task(config.task, seed=config.seed)
    opening = Opening(config, task, open_store(str(folder)), untuned=True)
    return find_method(config).open_writer(opening), make_plan(config, task).unit(0)


@pytest.mark.parametrize("method", ["promptmix", "promptmix_soft"])
def test_what_is_written_depends_on_the_share(
    plants_path: Path, tiny_llama_path: Path, tmp_path: Path, method: str
) -> None:
    writes, unit = writer(config(plants_path, method, str(tiny_llama_path)), tmp_path)
    units = [with_share(unit, alpha) for alpha in (0.5, 0.75, 1.0)]
    half, most, whole = writes.write(units)
    assert len(half) == 3 and half != most != whole != half
    alone = writes.write(units[1:2])[0]
    assert [text.text for text in alone] == [text.text for text in most]


def test_only_the_soft_kind_is_tuned_first(plants_path: Path) -> None:
    assert tunes_prompts(config(plants_path, "promptmix_soft"))
    assert not tunes_prompts(config(plants_path, "promptmix"))
