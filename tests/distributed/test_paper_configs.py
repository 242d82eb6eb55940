"""The configs at the paper's sizes load, plan and pass their checks without any weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from msp.config import RunConfig
from msp.config_file import load_config
from msp.methods import make_plan
from msp.models.lm_files import find_lm
from msp.prompts.encode import ExampleEncoder
from msp.students.kinds import make_learner
from msp.tasks import load_task

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "data"
NAMES = ("crossner", "topv2", "nlupp", "banking77", "actdial")
# FLAN-T5 reads 512 tokens of about four bytes; the stand-in has one token a byte.
NUM_BYTES = 4 * 512


def config_of(name: str, folder: Path) -> RunConfig:
    path = PUBLISHED / name
    if name == "actdial":
        path = folder / "daily.json"
        path.write_text(
            json.dumps(
                [
                    {
                        "index": f"d_{split}_{i}_0_0",
                        "fs_text": f"hi {i} {split}",
                        "annotation": f"act{i}",
                    }
                    for split in ("train", "test")
                    for i in range(3)
                ]
            )
        )
    elif not path.is_dir():
        pytest.skip(f"needs ../shared/data/{name}")
    file = ROOT / "ray_jobs" / "configs" / "paper" / f"{name}.yaml"
    return load_config(file, [f"task.path={path}"])


@pytest.mark.parametrize("name", NAMES)
def test_a_config_of_the_papers_sizes_loads_and_plans(name: str, tmp_path: Path) -> None:
    config = config_of(name, tmp_path)
    assert config.model.name == "google/flan-t5-xxl" and "GODEL" in config.student.encoder
    task = load_task(config.task, seed=config.seed)
    plan = make_plan(config, task)
    assert plan.num_units >= len(task.seeds) - sum(not e.attributes for e in task.seeds)
    assert plan.unit(plan.num_units - 1).num_candidates == 5
    assert make_learner(task, config.task.metrics)


@pytest.mark.parametrize("name", NAMES)
def test_its_prompts_and_examples_fit_the_frozen_lm(
    name: str, tmp_path: Path, tiny_t5_path: Path
) -> None:
    config = config_of(name, tmp_path)
    path = shutil.copytree(tiny_t5_path, tmp_path / "lm")
    settings = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(
        json.dumps({**settings, "model_max_length": NUM_BYTES})
    )
    task = load_task(config.task, seed=config.seed)
    files = find_lm(config.model.model_copy(update={"name": str(path)}))
    encoder = ExampleEncoder(files, config.prompts, task.ontology, task.seeds, config.seed)
    encoded = encoder.encode([*task.seeds[:100], *task.dev[:100]], epoch=0)
    assert encoded and all(one.soft_length >= 120 for one in encoded)
