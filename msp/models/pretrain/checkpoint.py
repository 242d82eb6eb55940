"""Checkpoints of pre-training: safetensors and JSON in the run's store, whole or not there."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from msp.errors import CheckpointError
from msp.models.pretrain.optimizer import load_state_tensors, state_tensors
from msp.storage.store import ObjectStore

PREFIX = "checkpoints/"
MODEL_PREFIX = "model/"
_KEPT = 2
_STATE = re.compile(r"checkpoints/step-(\d{8})/state\.json")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: steps done and the seconds they took."""

    step: int = 0
    seconds: float = 0.0


def save_checkpoint(
    store: ObjectStore,
    model: nn.Module,
    optimizers: dict[str, Optimizer],
    *,
    progress: Progress,
    defining: dict[str, Any],
) -> None:
    """The store holds all that resuming needs; `state.json` comes last and commits the rest.

    Only the two newest checkpoints stay.
    """
    folder = f"{PREFIX}step-{progress.step:08d}"
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    store.write(f"{folder}/model.safetensors", save(weights))
    store.write(f"{folder}/optimizer.safetensors", save(state_tensors(optimizers)))
    state = {**asdict(progress), "defining": defining}
    store.write(f"{folder}/state.json", json.dumps(state, indent=1).encode())
    for step in _steps(store)[:-_KEPT]:
        # The commit mark goes first: what is left of a half-deleted checkpoint is never read.
        for name in ("state.json", "model.safetensors", "optimizer.safetensors"):
            store.delete(f"{PREFIX}step-{step:08d}/{name}")


def load_newest(
    store: ObjectStore,
    model: nn.Module,
    optimizers: dict[str, Optimizer],
    *,
    defining: dict[str, Any],
) -> Progress:
    """Model and optimisers are as the newest checkpoint left them; untouched where there is none.

    Raises:
        CheckpointError: another run's checkpoint lies there, or it is damaged.
    """
    steps = _steps(store)
    if not steps:
        return Progress()
    folder = f"{PREFIX}step-{steps[-1]:08d}"
    try:
        state = json.loads(store.read(f"{folder}/state.json"))
        _refuse_another_run(state["defining"], defining, store.uri)
        weights = load(store.read(f"{folder}/model.safetensors"))
        moments = load(store.read(f"{folder}/optimizer.safetensors"))
        _restore(model, weights)
        load_state_tensors(optimizers, moments)
        return Progress(int(state["step"]), float(state["seconds"]))
    except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{store.uri}/{folder} is damaged ({error!r}); remove it to resume from the one before."
        ) from error


def export_model(
    store: ObjectStore, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    """`model/` in the store is what `from_pretrained` reads: bf16 weights, configs, tokenizer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer.save_pretrained(folder)
        _write_configs(model, folder)
        for path in sorted(folder.iterdir()):
            store.write(f"{MODEL_PREFIX}{path.name}", path.read_bytes())
    weights = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    weights.pop("lm_head.weight", None)  # tied to the embedding
    store.write(f"{MODEL_PREFIX}model.safetensors", save(weights, metadata={"format": "pt"}))


def _write_configs(model: LlamaForCausalLM, folder: Path) -> None:
    config = type(model.config).from_dict(model.config.to_dict())
    config.architectures = [type(model).__name__]
    config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)


def _restore(model: nn.Module, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def _refuse_another_run(found: dict[str, Any], asked: dict[str, Any], uri: str) -> None:
    differing = sorted(key for key in found | asked if found.get(key) != asked.get(key))
    if differing:
        raise CheckpointError(
            f"{uri} holds a pre-training with another {', '.join(differing)}; "
            "set them back to continue it, or choose another output_uri."
        )


def _steps(store: ObjectStore) -> list[int]:
    found = (_STATE.fullmatch(entry.key) for entry in store.list(PREFIX))
    return sorted(int(match[1]) for match in found if match)
