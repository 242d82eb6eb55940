"""Tuning on a real local Ray: one curve whatever the ZeRO stage, and whatever dies on the way."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch

from msp.config import ModelConfig, RunConfig
from msp.distributed import tune_state
from msp.distributed.tune import tune_prompts
from msp.errors import ConfigError, DamagedError, MSPError, TaskDataError
from msp.models.frozen_lm import load_frozen_lm
from msp.prompts.checkpoint import load_prompts, prompts_are_saved, read_meta
from msp.records import Attribute, Example
from msp.storage.layout import TUNE_STATE_PREFIX
from msp.storage.store import open_store
from msp.tasks.base import TaskData, content_hash
from msp.tasks.ontology import Ontology

pytestmark = pytest.mark.ray

LABELS = ("check_out", "refund", "how")


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def make_task(num_seeds: int = 21) -> TaskData:
    attributes = tuple(Attribute(name, name.replace("_", " ")) for name in LABELS)
    ontology = Ontology(attributes, (Attribute("time", "a time of day"),))
    examples = tuple(
        Example(f"e{i}", f"utterance {i} " + "go " * (i % 5), labels, values)
        for i, (labels, values) in enumerate(
            ((LABELS[i % 3],), {"time": (f"{i} pm",)} if i % 2 else {})
            for i in range(num_seeds + 5)
        )
    )
    seeds, dev = examples[:num_seeds], examples[num_seeds:]
    return TaskData(ontology, "general", seeds, dev, (), content_hash(ontology, seeds, dev))


def make_config(folder: Path, lm_path: Path, **tune: Any) -> RunConfig:
    defaults = {
        "num_epochs": 25,
        "batch_size": 8,
        "learning_rate": 0.02,
        "max_dev_generations": 0,
        "select_by": "dev_loss",
        "patience": 99,
        "precision": "float32",
    }
    return RunConfig.model_validate(
        {
            "output_uri": str(folder),
            "task": {"name": "jsonl", "path": "unused.jsonl"},
            "model": {"name": str(lm_path)},
            "prompts": {"instruction_length": 6, "attribute_length": 4, "num_exemplars": 1},
            "generate": {"max_new_tokens": 12},
            "tune": {**defaults, **tune},
        }
    )


def tuned(config: RunConfig, task: TaskData | None = None, **kwargs: Any) -> dict[str, Any]:
    return tune_prompts(config, task or make_task(), open_store(config.output_uri), **kwargs)


def curve(metrics: dict[str, Any]) -> list[float]:
    return [
        loss
        for record in metrics["curve"]
        for loss in (record["train_loss"], record["dev_loss"])
        if loss is not None
    ]


def sha256(path: Path) -> str:
    return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def unbroken(local_ray: None, tiny_llama_path: Path, tmp_path_factory: Any) -> dict[str, Any]:
    """One worker, no ZeRO, nothing dies: what every other tuning is compared with."""
    folder = tmp_path_factory.mktemp("unbroken")
    before = sha256(tiny_llama_path)
    seen: list[dict[str, Any]] = []
    metrics = tuned(make_config(folder, tiny_llama_path), on_progress=seen.append)
    assert sha256(tiny_llama_path) == before
    return {**metrics, "folder": folder, "seen": seen}


def test_tuning_lowers_the_loss_and_leaves_nothing_but_small_prompts(
    unbroken: dict[str, Any],
) -> None:
    losses = [record["dev_loss"] for record in unbroken["curve"]]
    assert min(losses) < losses[0] - 0.3
    assert unbroken["dev_loss"] == min(losses[1:])
    store = open_store(str(unbroken["folder"]))
    assert [info.key for info in store.list(TUNE_STATE_PREFIX)] == []
    assert max(info.size for info in store.list()) < 50_000
    assert read_meta(store)["attributes"] == [*LABELS, "time"]


def test_progress_is_told_up_to_the_last_epoch(unbroken: dict[str, Any]) -> None:
    last = unbroken["seen"][-1]
    assert (last["epoch"], last["num_epochs"], last["stop"]) == (25, 25, "num_epochs")
    assert last["dev_loss"] == unbroken["curve"][-1]["dev_loss"]


def test_a_finished_tuning_is_not_repeated(unbroken: dict[str, Any], tiny_llama_path: Path) -> None:
    again = tuned(make_config(unbroken["folder"], tiny_llama_path))
    assert again["curve"] == unbroken["curve"]


def zero_gives_the_same_curve(stage: int, folder: Path, lm_path: Path, expected: Any) -> None:
    metrics = tuned(make_config(folder, lm_path, zero_stage=stage, num_workers=2))
    assert curve(metrics) == pytest.approx(curve(expected), abs=1e-3)


def test_zero_stage_3_on_two_workers_gives_the_same_curve(
    unbroken: dict[str, Any], tiny_llama_path: Path, tmp_path: Path
) -> None:
    zero_gives_the_same_curve(3, tmp_path, tiny_llama_path, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_every_zero_stage_on_two_workers_gives_the_same_curve(
    stage: int, unbroken: dict[str, Any], tiny_llama_path: Path, tmp_path: Path
) -> None:
    zero_gives_the_same_curve(stage, tmp_path, tiny_llama_path, unbroken)


def train_workers(parent: int) -> list[int]:
    family = psutil.Process(parent).children(recursive=True)
    return [p.pid for p in family if "RayTrainWorker" in "".join(p.cmdline()[:1])]


def when_epochs_are_committed(folder: Path, num: int, act: Callable[[], None]) -> threading.Thread:
    """Start a thread that acts once, in the middle of the epoch after the ``num``-th."""

    def wait() -> None:
        store = open_store(str(folder))
        until = time.monotonic() + 420
        while time.monotonic() < until:
            keys = [info.key for info in store.list(tune_state.EPOCH_PREFIX)]
            if keys and keys[-1] >= f"{tune_state.EPOCH_PREFIX}{num:04d}":
                act()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_killed_worker_is_replaced_and_the_curve_is_the_same(
    unbroken: dict[str, Any], tiny_llama_path: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.append(train_workers(os.getpid())[-1])
        os.kill(killed[0], signal.SIGKILL)

    thread = when_epochs_are_committed(tmp_path, 2, kill)
    metrics = tuned(make_config(tmp_path, tiny_llama_path, max_failures=1))
    thread.join()
    assert killed and not psutil.pid_exists(killed[0])
    assert curve(metrics) == pytest.approx(curve(unbroken), abs=1e-6)


def test_prompts_computed_from_examples_are_tuned_and_outlive_a_killed_worker(
    local_ray: None, tiny_llama_path: Path, tmp_path: Path
) -> None:
    tune = {"num_epochs": 6, "zero_stage": 3, "num_workers": 2, "max_failures": 1}
    config = make_config(tmp_path, tiny_llama_path, **tune)
    tree = {
        **config.model_dump(),
        "prompts": {"source": "example", "contextual_length": 4, "contextual_width": 5},
        "generate": {"method": "softsrv"},
    }
    thread = when_epochs_are_committed(
        tmp_path, 2, lambda: os.kill(train_workers(os.getpid())[-1], signal.SIGKILL)
    )
    metrics = tuned(RunConfig.model_validate(tree))
    thread.join()
    losses = [record["dev_loss"] for record in metrics["curve"]]
    assert len(losses) == 7 and min(losses) < losses[0] - 0.3
    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")
    soft = load_prompts(open_store(str(tmp_path)), lm)
    assert soft.contextual is not None and soft.contextual.sizes.length == 4


def test_an_instruction_prompt_that_is_not_tuned_stays_and_the_rest_learns(
    local_ray: None, tiny_llama_path: Path, tmp_path: Path
) -> None:
    def config(name: str, **tune: Any) -> RunConfig:
        settings = {"num_epochs": 6, "instruction": False, **tune}
        return make_config(tmp_path / name, tiny_llama_path, **settings)

    whole = tuned(config("whole"))
    folder = tmp_path / "broken"
    thread = when_epochs_are_committed(
        folder, 2, lambda: os.kill(train_workers(os.getpid())[-1], signal.SIGKILL)
    )
    broken = tuned(config("broken", zero_stage=3, num_workers=2, max_failures=1))
    thread.join()
    assert curve(broken) == pytest.approx(curve(whole), abs=1e-5)
    losses = [record["dev_loss"] for record in whole["curve"]]
    assert min(losses) < losses[0] - 0.1
    assert whole["num_parameters"] == 4 * 4 * 32
    tuned(config("start", num_epochs=0))
    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")
    start, *learned = (
        load_prompts(open_store(str(tmp_path / name)), lm) for name in ("start", "whole", "broken")
    )
    for soft in learned:
        assert soft.instruction.tolist() == start.instruction.tolist()
        assert not torch.equal(soft.attributes, start.attributes)


DRIVER = """
import sys
from pathlib import Path
import ray
sys.path.insert(0, sys.argv[1])
import test_tune
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
test_tune.tuned(test_tune.make_config(Path(sys.argv[2]), Path(sys.argv[3])))
"""


def test_a_killed_driver_is_run_again_and_the_curve_is_the_same(
    unbroken: dict[str, Any], tiny_llama_path: Path, tmp_path: Path
) -> None:
    arguments = [str(Path(__file__).parent), str(tmp_path), str(tiny_llama_path)]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments])

    def kill() -> None:
        workers = train_workers(driver.pid)
        driver.kill()
        for pid in workers:  # as a node that is lost takes them along
            os.kill(pid, signal.SIGKILL)

    when_epochs_are_committed(tmp_path, 2, kill).join()
    assert driver.wait(timeout=60) == -signal.SIGKILL
    store = open_store(str(tmp_path))
    resumed_at = tune_state.load_state(store).epoch
    assert 2 <= resumed_at < 25 and not prompts_are_saved(store)
    metrics = tuned(make_config(tmp_path, tiny_llama_path))
    assert curve(metrics) == pytest.approx(curve(unbroken), abs=1e-6)


def test_more_failures_than_allowed_end_with_what_to_do(
    local_ray: None, tiny_llama_path: Path, tmp_path: Path
) -> None:
    def kill() -> None:
        os.kill(train_workers(os.getpid())[-1], signal.SIGKILL)

    thread = when_epochs_are_committed(tmp_path, 1, kill)
    with pytest.raises(MSPError, match="same command goes on"):
        tuned(make_config(tmp_path, tiny_llama_path, max_failures=0, num_epochs=100))
    thread.join()


def test_no_epochs_leave_the_prompts_as_they_start(tiny_llama_path: Path, tmp_path: Path) -> None:
    metrics = tuned(make_config(tmp_path, tiny_llama_path, num_epochs=0))
    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")
    soft = load_prompts(open_store(str(tmp_path)), lm)
    assert metrics["curve"] == [] and metrics["num_steps"] == 0
    ids = lm.files.text_ids(["check out"])[0][:4]
    assert soft.attributes[0].tolist() == lm.embedding.weight[ids].tolist()


def test_what_cannot_work_is_refused_before_ray_is_needed(
    tiny_llama_path: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path, tiny_llama_path)
    long = Example("f.jsonl:3", "go " * 300, ("how",))
    task = make_task()
    with pytest.raises(TaskDataError, match=r"f\.jsonl:3.*512 positions"):
        tuned(config, TaskData(task.ontology, "general", (long,), (), (), ""))
    with pytest.raises(TaskDataError, match="none of the 1 seed examples"):
        tuned(config, TaskData(task.ontology, "general", (Example("u", "hi"),), (), (), ""))
    prompts = config.prompts.model_copy(update={"instruction_length": 600})
    with pytest.raises(ConfigError, match=r"instruction_length 600.*512 positions"):
        tuned(config.model_copy(update={"prompts": prompts}))


def test_fewer_examples_than_bases_are_refused_before_ray_is_needed(
    tiny_llama_path: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path, tiny_llama_path)
    prompts = {
        "source": "both",
        "contextual_form": "mixture",
        "contextual_length": 4,
        "contextual_bases": 9,
        "instruction_length": 4,
    }
    prompts_section = config.prompts.model_validate(prompts)
    config = config.model_copy(update={"prompts": prompts_section})
    with pytest.raises(ConfigError, match="contextual_bases is 9, but there are 6 seed examples"):
        tuned(config, make_task(6))


def test_a_damaged_state_is_named(tiny_llama_path: Path, tmp_path: Path) -> None:
    key = f"{tune_state.EPOCH_PREFIX}0001.safetensors"
    open_store(str(tmp_path)).write(key, b"half a fi")
    with pytest.raises(DamagedError, match=r"epoch-0001\.safetensors: is damaged"):
        tuned(make_config(tmp_path, tiny_llama_path))
