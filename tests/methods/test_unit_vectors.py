"""Where units are written from: their own example's embedding, and points near it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from msp.config import RunConfig
from msp.errors import CheckpointError
from msp.methods import Opening, make_plan
from msp.methods.lm_writers import with_soft_prompts
from msp.methods.unit_vectors import UnitVectors
from msp.models.frozen_lm import load_frozen_lm
from msp.prompts.checkpoint import describe_prompts, save_prompts
from msp.prompts.initialisers import initial_prompts
from msp.storage.local import LocalStore
from msp.tasks import load_task
from msp.tasks.base import TaskData


def config(embeddings: str = "interpolated") -> RunConfig:
    tree = {
        "output_uri": "x",
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        "prompts": {"source": "both", "contextual_length": 4},
        "generate": {"embeddings": embeddings},
    }
    return RunConfig.model_validate(tree)


@pytest.fixture(scope="module")
def task() -> TaskData:
    return load_task(config().task, seed=13)


@pytest.fixture(scope="module")
def own(task: TaskData) -> dict[str, torch.Tensor]:
    return dict(UnitVectors(config("training"), task.seeds)._vectors)


@pytest.mark.parametrize("embeddings", ["training", "perturbed", "interpolated"])
def test_a_point_has_length_1_is_nearest_its_own_example_and_follows_from_its_unit(
    task: TaskData, own: dict[str, torch.Tensor], embeddings: str
) -> None:
    plan = make_plan(config(embeddings), task)
    units = [plan.unit(index) for index in range(0, 177, 8)]
    points = UnitVectors(config(embeddings), task.seeds)
    found = points.of(units)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(units)))
    torch.testing.assert_close(points.of(units[::-1]).flip(0), found)
    names = list(own)
    nearest = (found @ torch.stack(list(own.values())).T).argmax(dim=1)
    assert [names[row] for row in nearest] == [unit.seed_uid for unit in units]
    moved = [not torch.allclose(row, own[u.seed_uid]) for row, u in zip(found, units, strict=True)]
    assert all(moved) if embeddings != "training" else not any(moved)


def test_a_new_combination_is_written_from_half_way_to_an_example_with_what_is_missing(
    task: TaskData, own: dict[str, torch.Tensor]
) -> None:
    plan = make_plan(config("training"), task)
    novel = [plan.unit(index) for index in range(177, plan.num_units, 50)]
    labels = {seed.uid: set(seed.attributes) for seed in task.seeds}
    points = UnitVectors(config("training"), task.seeds).of(novel)
    num_between = 0
    for unit, point in zip(novel, points, strict=True):
        missing = set(unit.constraint.attributes) - labels[unit.seed_uid]
        middles = {
            uid: torch.nn.functional.normalize(own[unit.seed_uid] + vector, dim=0)
            for uid, vector in own.items()
            if missing <= labels[uid]
        }
        between = any(torch.allclose(m, point, atol=1e-5) for m in middles.values())
        assert between or not missing
        num_between += between
    assert num_between > 3


def test_another_encoder_than_the_prompts_were_tuned_with_is_refused(
    task: TaskData, tiny_llama_path: Path, tmp_path: Path
) -> None:
    tree = config().model_dump()
    tree["model"]["name"] = str(tiny_llama_path)
    tree["prompts"] |= {"contextual_form": "nsp", "contextual_encoder": str(tiny_llama_path)}
    tuned_with = RunConfig.model_validate(tree)
    lm, store = load_frozen_lm(tuned_with.model), LocalStore(tmp_path)
    soft = initial_prompts(lm, task.ontology, tuned_with.prompts, seed=1)
    save_prompts(store, soft, describe_prompts(tuned_with, lm.files, task.ontology, {}))
    with_soft_prompts(Opening(tuned_with, task, store))
    tree["prompts"]["contextual_encoder"] = "minilm"
    opening = Opening(RunConfig.model_validate(tree), task, store)
    with pytest.raises(CheckpointError, match=r"embeddings of 32 numbers.*'minilm' gives 384"):
        with_soft_prompts(opening)


def test_what_no_text_asks_for_is_not_asked_for(task: TaskData) -> None:
    tree = config().model_dump()
    tree["generate"]["method"], tree["prompts"]["source"] = "softsrv", "example"
    plan = make_plan(RunConfig.model_validate(tree), task)
    units = [plan.unit(index) for index in range(177)]
    seeds = {seed.uid: seed for seed in task.seeds}
    assert any(seeds[unit.seed_uid].values for unit in units)
    for unit in units:
        assert unit.constraint.attributes == seeds[unit.seed_uid].attributes
        assert not unit.constraint.values
