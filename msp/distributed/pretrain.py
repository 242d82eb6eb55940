"""Pre-training under Ray Train: the same run on one CPU, one GPU, or many of either."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.train
import torch
from ray.train.torch import get_device, prepare_model

from msp.config import ClusterConfig
from msp.distributed import placement
from msp.distributed.worker_group import GroupSize, run_workers
from msp.errors import ConfigError
from msp.models.pretrain.checkpoint import MODEL_PREFIX
from msp.models.pretrain.corpus import check_inputs
from msp.models.pretrain.material import Material, prepare
from msp.models.pretrain.run_log import RunLog, read_log
from msp.models.pretrain.settings import PretrainConfig
from msp.models.pretrain.trainer import Place, Trainer
from msp.progress import console
from msp.storage.lease import held
from msp.storage.store import ObjectStore, check_store, open_store

RESULT_KEY = "pretrain.json"
_FOLLOW_SECONDS = 2.0


def pretrain(config: PretrainConfig) -> dict[str, Any]:
    """Leave the model in the store at `model/`; the same call again continues after any kill.

    Every node packs its own tokens from the inputs, so the input files must be
    readable at the same paths on all of them; nothing else is shared.

    Returns:
        where the model is, its steps, tokens and seconds of training, and held-out losses.

    Raises:
        UserError: something that the user has to mend; nothing was started.
        HeldError: another run that is alive writes to the same output.
    """
    config = config.with_absolute_paths()
    check_inputs(config.input_paths)
    store = open_store(config.output_uri, endpoint_url=config.runtime.s3_endpoint_url)
    check_store(store)
    placement.connect(ClusterConfig(address=config.runtime.address))
    config = _with_gpus_decided(config)
    _check_capacity(config)
    with held(store), placement.ours_out_of_rays(), _log_followed(store):
        _run_workers(config)
    result: dict[str, Any] = json.loads(store.read(RESULT_KEY))
    return {"model": f"{store.uri}/{MODEL_PREFIX.rstrip('/')}", **result}


def _run_workers(config: PretrainConfig) -> None:
    needs, runtime = _each_needs(config), config.runtime
    size = GroupSize(runtime.num_workers, needs["CPU"], needs["GPU"], runtime.max_failures)
    run_workers(_worker, {"config": config}, name="pretrain", size=size)


def _worker(job: dict[str, Any]) -> None:
    """One worker's part; runs in every worker process."""
    config: PretrainConfig = job["config"]
    context = ray.train.get_context()
    torch.set_num_threads(config.runtime.cpus_per_worker)
    store = open_store(config.output_uri, endpoint_url=config.runtime.s3_endpoint_url)
    place = Place(
        rank=context.get_world_rank(),
        num_workers=context.get_world_size(),
        device=get_device(),
        wrap=prepare_model,
    )
    material = _prepare_once_per_node(config, context.get_local_rank())
    trainer = Trainer(config, material, store=store, place=place)
    log = RunLog(store, enabled=place.rank == 0)
    log(f"starts at step {trainer.progress.step} of {config.num_steps}")
    trainer.run(log)
    log.flush()
    if place.rank == 0:
        store.write(RESULT_KEY, json.dumps(trainer.result(), indent=1).encode())


def _prepare_once_per_node(config: PretrainConfig, local_rank: int) -> Material:
    """Let a node's first worker pack the tokens, while the others wait, then read them."""
    if local_rank == 0:
        prepare(config)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    return prepare(config)


@contextmanager
def _log_followed(store: ObjectStore) -> Iterator[None]:
    """Print what the workers add to the log while they run."""
    done = threading.Event()
    start = len(read_log(store))

    def follow() -> None:
        shown = start
        while True:
            last = done.wait(_FOLLOW_SECONDS)
            text = read_log(store)
            if len(text) > shown:
                console().print(text[shown:].rstrip("\n"), markup=False)
                shown = len(text)
            if last:
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _with_gpus_decided(config: PretrainConfig) -> PretrainConfig:
    """Let every worker have a GPU where the config leaves it open and the cluster has as many."""
    runtime = config.runtime
    if runtime.gpus_per_worker != "auto":
        return config
    enough = ray.cluster_resources().get("GPU", 0.0) >= runtime.num_workers
    decided = runtime.model_copy(update={"gpus_per_worker": int(enough)})
    return config.model_copy(update={"runtime": decided})


def _each_needs(config: PretrainConfig) -> dict[str, int]:
    gpus = config.runtime.gpus_per_worker
    return {"CPU": config.runtime.cpus_per_worker, "GPU": 0 if gpus == "auto" else gpus}


def _check_capacity(config: PretrainConfig) -> None:
    has, num_workers = ray.cluster_resources(), config.runtime.num_workers
    for resource, each in _each_needs(config).items():
        if num_workers * each > has.get(resource, 0.0):
            raise ConfigError(
                f"pre-training needs {num_workers * each} {resource}s "
                f"(runtime.num_workers x {resource.lower()}s_per_worker), but the cluster has "
                f"{has.get(resource, 0.0):g}; lower them or use a larger cluster."
            )
