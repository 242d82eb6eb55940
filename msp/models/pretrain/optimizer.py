"""Two optimisers and one schedule: Muon on the hidden matrices, AdamW on all else."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from msp.models.pretrain.settings import PretrainConfig


def build_optimizers(model: nn.Module, config: PretrainConfig) -> dict[str, Optimizer]:
    """`muon` for the 2-D matrices between the layers, `adamw` for embeddings and norms."""
    named = dict(model.named_parameters())
    hidden = {name for name, p in named.items() if p.ndim == 2 and "embed" not in name}
    muon = Muon(
        [(name, named[name]) for name in named if name in hidden],
        lr=config.train.muon_learning_rate,
        weight_decay=config.train.weight_decay,
        momentum=0.95,
    )
    rest = [(name, named[name]) for name in named if name not in hidden]
    adamw = AdamW(
        rest, lr=config.train.adamw_learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    return {"muon": muon, "adamw": adamw}


def rate_at(step: int, config: PretrainConfig) -> float:
    """The learning rate's share of its peak: linear warm-up, then a cosine to zero."""
    warmup = max(1, round(config.train.warmup_share * config.num_steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, config.num_steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def set_rate(optimizers: dict[str, Optimizer], step: int, config: PretrainConfig) -> None:
    """Every optimiser has the learning rate of this step."""
    peaks = {"muon": config.train.muon_learning_rate, "adamw": config.train.adamw_learning_rate}
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = peaks[name] * rate_at(step, config)


def state_tensors(optimizers: dict[str, Optimizer]) -> dict[str, Tensor]:
    """All optimiser state as tensors named `optimizer/parameter/entry`."""
    found: dict[str, Tensor] = {}
    for kind, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                for entry, value in optimizer.state[parameter].items():
                    found[f"{kind}/{name}/{entry}"] = torch.as_tensor(value).detach().clone()
    return found


def load_state_tensors(optimizers: dict[str, Optimizer], tensors: dict[str, Tensor]) -> None:
    """The optimisers hold the state that `state_tensors` returned."""
    for kind, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                prefix = f"{kind}/{name}/"
                entries = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
                for entry, value in entries.items():
                    optimizer.state[parameter][entry] = value.to(parameter.device)
