"""The share of the second class reaches the LM: in words, or in the soft prompt alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from msp.config import ModelConfig, RunConfig
from msp.methods import find_method, make_plan, tunes_prompts
from msp.methods.writing import UnitWriter
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.prompts.initialisers import initial_prompts
from msp.records import Mix, Unit
from msp.tasks import load_task


@pytest.fixture(scope="module")
def lm(tiny_llama_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")


def config(path: Path, method: str) -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": "x",
            "task": {"name": "jsonl", "path": str(path), "predict": "label"},
            "generate": {"method": method, "num_candidates_per_unit": 3, "max_new_tokens": 8},
            "denoise": {"num_kept_per_unit": 3},
        }
    )


def with_share(unit: Unit, alpha: float) -> Unit:
    assert unit.mix is not None
    return replace(unit, mix=Mix(unit.mix.attribute, alpha, unit.mix.group))


def writer(config: RunConfig, lm: FrozenLM) -> tuple[UnitWriter, Unit]:
    task = load_task(config.task, seed=config.seed)
    soft = initial_prompts(lm, task.ontology, config.prompts, seed=1)
    is_soft = find_method(config).tunes_prompts
    made = UnitWriter(config, task.ontology, lm=lm, soft=soft if is_soft else None)
    return made, make_plan(config, task).unit(0)


@pytest.mark.parametrize("method", ["promptmix", "promptmix_soft"])
def test_what_is_written_depends_on_the_share(plants_path: Path, lm: FrozenLM, method: str) -> None:
    writes, unit = writer(config(plants_path, method), lm)
    units = [with_share(unit, alpha) for alpha in (0.5, 0.75, 1.0)]
    half, most, whole = writes.write(units)
    assert len(half) == 3 and half != most != whole != half
    (alone,) = writes.write(units[1:2])
    assert [made.text for made in alone] == [made.text for made in most]


def test_only_the_soft_kind_is_tuned_first(plants_path: Path) -> None:
    assert tunes_prompts(config(plants_path, "promptmix_soft"))
    assert not tunes_prompts(config(plants_path, "promptmix"))
