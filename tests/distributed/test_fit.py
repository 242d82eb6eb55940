"""A fit on a real local Ray: killed in the middle, it goes on, and what it learned writes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray import cloudpickle

from msp.config import RunConfig
from msp.distributed.fit import fit_model
from msp.distributed.run import run_stage
from msp.distributed.tune_state import load_state
from msp.errors import ConfigError, MSPError
from msp.methods import Opening, find_method, make_plan
from msp.status import run_status
from msp.storage import layout
from msp.storage.local import LocalStore
from msp.tasks import load_task

pytestmark = pytest.mark.ray
# Workers cannot import a test module; what it defines travels with the call.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def make_config(folder: Path, lm_path: Path, *, max_failures: int) -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": str(folder),
            "task": {"name": "jsonl", "path": "sample:front_desk", "max_seed_examples": 12},
            "model": {"name": str(lm_path)},
            "prompts": {"instruction_length": 2, "attribute_length": 1, "num_exemplars": 0},
            "generate": {"method": "clm", "max_new_tokens": 8},
            "tune": {"num_epochs": 3, "precision": "float32", "max_failures": max_failures},
        }
    )


class DyingStore(LocalStore):
    """A store that kills each process that commits the second epoch, as often as it is told."""

    num_deaths = 1

    def write(self, key: str, data: bytes) -> None:
        deaths = Path(self.uri.removeprefix("file://")) / "deaths"
        if key.endswith("epoch-0002.safetensors") and len(list(deaths.glob("*"))) < self.num_deaths:
            deaths.mkdir(exist_ok=True)
            (deaths / str(os.getpid())).touch()
            os._exit(1)
        super().write(key, data)


def test_a_killed_fit_goes_on_after_its_last_epoch_and_writes(tiny_llama_path, tmp_path) -> None:
    configs = [make_config(tmp_path / "run", tiny_llama_path, max_failures=n) for n in (0, 1)]
    task = load_task(configs[0].task, seed=13)
    (tmp_path / "run").mkdir()
    dying = DyingStore(tmp_path / "run")
    with pytest.raises(MSPError, match="same command goes on"):
        fit_model(configs[0], task, dying)
    assert load_state(dying).epoch == 1 and not dying.exists(layout.FIT_JSON)
    dying.num_deaths = 2
    seen: list[dict] = []
    killed = fit_model(configs[1], task, dying, on_progress=seen.append)
    assert len(list((tmp_path / "run/deaths").iterdir())) == 2
    assert (seen[-1]["epoch"], seen[-1]["stop"]) == (3, "num_epochs")
    whole = fit_model(configs[0], task, LocalStore(tmp_path / "whole"))
    assert [r["dev_loss"] for r in killed["curve"]] == [r["dev_loss"] for r in whole["curve"]]
    writers = [
        find_method(configs[0]).open_writer(Opening(configs[0], task, store))
        for store in (dying, LocalStore(tmp_path / "whole"))
    ]
    units = [make_plan(configs[0], task).unit(i) for i in range(2)]
    assert writers[0].write(units) == writers[1].write(units)


def test_a_run_that_answers_itself_reports_both_arms_and_generates_nothing(
    tiny_llama_path, tmp_path
) -> None:
    config = RunConfig.model_validate(
        {
            **make_config(tmp_path / "run", tiny_llama_path, max_failures=0).model_dump(),
            "generate": {"method": "fine_tune"},
            "student": {"num_seeds": 2, "num_steps": 5, "encoder": str(tiny_llama_path)},
        }
    )
    config = config.model_copy(update={"tune": config.tune.model_copy(update={"num_epochs": 1})})
    with pytest.raises(ConfigError, match="writes no candidates"):
        run_stage("generate", config)
    line = run_stage("run", config)
    assert line["num_candidates"] == 0 and line["direct"].keys() == line["seed_only"].keys()
    store = LocalStore(tmp_path / "run")
    figures = json.loads(store.read(layout.METRICS_JSON))
    assert len(figures["student"]["direct"]["micro_f1"]["per_seed"]) == 2
    assert len(figures["tune"]["curve"]) == 2 and "augmented" not in figures["student"]
    page = store.read(layout.REPORT_HTML).decode()
    assert "the LM answers the task itself" in page
    assert not list(store.list(layout.CANDIDATES_PREFIX)) and not store.exists(layout.MANIFEST)
    assert run_status(str(tmp_path / "run"))["stage"] == "done"
    assert run_stage("run", config) == line
