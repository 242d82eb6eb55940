"""What a method learned for itself, in the run's store: weights first, then what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from msp.config import RunConfig
from msp.errors import CheckpointError
from msp.models.lm_files import LMFiles
from msp.storage.damage import read_json
from msp.storage.layout import FIT_JSON, FIT_TENSORS
from msp.storage.seal import CHECKSUM_KEY, UNSEALED, check_seal, damaged, sealed
from msp.storage.store import ObjectStore


def learned_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return what learns of a module, by name, float32 on the CPU."""
    return {
        name: parameter.detach().float().cpu().clone()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def save_fit(
    store: ObjectStore,
    tensors: Mapping[str, Tensor],
    *,
    config: RunConfig,
    files: LMFiles,
    tuning: Mapping[str, Any],
) -> None:
    """Write what was learned; it counts as saved once fit.json, the last object, is there."""
    payload = safetensors.torch.save(dict(tensors), {CHECKSUM_KEY: UNSEALED})
    store.write(FIT_TENSORS, sealed(payload))
    described = {
        "method": config.generate.method,
        "base_model": {"name": files.name, "content_hash": files.content_hash},
        "tuning": dict(tuning),
    }
    store.write(FIT_JSON, json.dumps(described, indent=2).encode())


def fit_is_saved(store: ObjectStore) -> bool:
    """Tell whether the store has a finished model of the run's method."""
    return store.exists(FIT_JSON)


def read_fit_figures(store: ObjectStore) -> dict[str, Any]:
    """Return the figures of the finished fit, in the form of a tuning's.

    Raises:
        DamagedError: fit.json is damaged.
    """
    figures: dict[str, Any] = read_json(store, FIT_JSON)["tuning"]
    return figures


@torch.no_grad()
def load_fit(store: ObjectStore, module: nn.Module, files: LMFiles) -> None:
    """Give a module's learning parameters the values that the run's store has for them.

    Args:
        store: the run's.
        module: made as it was for the fit.
        files: the LM, which must be the one that was learned with.

    Raises:
        CheckpointError: nothing was learned yet, or with another LM or other settings.
        DamagedError: the weights are damaged.
    """
    where = f"{store.uri}/{FIT_TENSORS}"
    if not fit_is_saved(store):
        raise CheckpointError(f"{where} is not there; run msp tune first.")
    base = read_json(store, FIT_JSON)["base_model"]
    if base["content_hash"] != files.content_hash:
        raise CheckpointError(
            f"{where} was learned with the model {base['name']}, but {files.name} has other "
            "weights; set model.name to theirs, or learn again with another output_uri."
        )
    payload = store.read(FIT_TENSORS)
    check_seal(payload, where)
    try:
        tensors = safetensors.torch.load(payload)
    except safetensors.SafetensorError as error:
        raise damaged(where, str(error)) from error
    learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if {name: p.shape for name, p in learned.items()} != {n: t.shape for n, t in tensors.items()}:
        raise CheckpointError(
            f"{where} holds other weights than generate.method, clm_weights and lora_rank ask "
            "for; learn again with another output_uri."
        )
    for name, parameter in learned.items():
        parameter.copy_(tensors[name])
