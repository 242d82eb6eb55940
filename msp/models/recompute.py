"""Activation checkpointing of a frozen LM: less memory in the backward pass for more computation.

transformers' own switch works in training mode alone, and a frozen LM stays in
evaluation mode, without dropout, while the prompts before it learn.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from msp.errors import ConfigError


def recompute_activations(model: Any, *, name: str) -> None:
    """Let each layer of an LM keep its inputs alone and compute the rest again going back.

    Nothing changes where no gradient is asked for, so the LM generates as before.

    Args:
        model: a transformers LM.
        name: of the model, for the message.

    Raises:
        ConfigError: the LM's layers are not of transformers' kind.
    """
    # Imported here: it brings the whole of torch's compiler along, which takes seconds.
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(
            f"tune.activation_checkpointing is on, but the layers of the model {name} do not know "
            "it; turn it off, or lower tune.batch_size instead."
        )
    for layer in layers:
        layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    # Nothing is drawn in evaluation mode, so no random state has to be brought back.
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
