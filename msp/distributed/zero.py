"""DeepSpeed for prompt tuning: its config, and learned state in and out whatever ZeRO's stage.

Under ZeRO the float32 parameters and Adam's moments are scattered over the
workers. They are gathered into plain tensors, so that a state written with one
stage and number of workers is read with another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from msp.config import TuneConfig

MOMENTS = ("exp_avg", "exp_avg_sq")


def start_deepspeed(
    objective: nn.Module, soft: nn.Module, config: TuneConfig, *, is_bfloat16: bool
) -> Any:
    """Return a DeepSpeed engine that trains ``soft`` and nothing else of ``objective``.

    Args:
        objective: the frozen LM with the prompts.
        soft: the part that learns; its parameters alone reach the optimiser.
        config: ZeRO stage, offload and batch size.
        is_bfloat16: whether the frozen LM is.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed
    import deepspeed.ops
    from deepspeed.utils import logger

    logger.setLevel("WARNING")
    # DeepSpeed would compile a shared-memory all-reduce at the first start on a CPU, for which
    # a machine needs a compiler; torch's own serves. An empty table also spares the search for
    # every other compiled op.
    deepspeed.ops.__compatible_ops__ = {}
    engine, *_ = deepspeed.initialize(
        model=objective,
        model_parameters=[parameter for _, parameter in _learned(soft)],
        config=deepspeed_config(config, is_bfloat16=is_bfloat16),
    )
    return engine


def deepspeed_config(config: TuneConfig, *, is_bfloat16: bool) -> dict[str, Any]:
    """Return DeepSpeed's configuration of a tuning."""
    # DeepSpeed keeps float32 master copies of bfloat16 parameters from stage 1 on; at stage 0 the
    # prompts themselves would be rounded at every step.
    stage = max(config.zero_stage, 1) if is_bfloat16 else config.zero_stage
    zero: dict[str, Any] = {"stage": stage}
    if config.offload == "cpu" and stage:
        zero["offload_optimizer"] = {"device": "cpu"}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": config.batch_size // config.num_workers,
        "gradient_accumulation_steps": 1,
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": config.learning_rate,
                "weight_decay": config.weight_decay,
                "torch_adam": True,
            },
        },
        "bf16": {"enabled": is_bfloat16},
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
    }


def set_learning_rate(engine: Any, rate: float) -> None:
    """Make the next optimiser step use a rate."""
    for group in engine.optimizer.param_groups:
        group["lr"] = rate


def read_parameters(soft: nn.Module) -> dict[str, Tensor]:
    """Return every learned parameter whole, float32, on the CPU; all workers must call it."""
    from deepspeed.utils import safe_get_full_fp32_param

    tensors = {}
    for name, parameter in soft.named_parameters():
        full = safe_get_full_fp32_param(parameter)
        tensors[name] = _on_cpu(parameter if full is None else full)
    return tensors


def read_moments(engine: Any, soft: nn.Module) -> dict[str, Tensor]:
    """Return Adam's moments whole, float32, as ``exp_avg.NAME``; all workers must call it."""
    from deepspeed.utils import safe_get_full_optimizer_state

    tensors = {}
    for name, parameter in _learned(soft):
        for moment in MOMENTS:
            full = safe_get_full_optimizer_state(parameter, moment)
            if full is None:
                full = _adam(engine).state[parameter][moment]
            tensors[f"{moment}.{name}"] = _on_cpu(full)
    return tensors


def write_learned(
    engine: Any, soft: nn.Module, tensors: Mapping[str, Tensor], *, step: int
) -> None:
    """Put parameters and moments back, so that the next step is what it would have been.

    Adam makes its state at the first step, so one step is taken before, which
    must change nothing: its gradient is zero and so is its rate. All workers
    must call it right after a backward pass of a loss times zero.
    """
    from deepspeed.utils import safe_get_full_fp32_param

    for name, parameter in _learned(soft):
        if safe_get_full_fp32_param(parameter) is None:
            parameter.data.copy_(tensors[name])
        else:
            _set_full(parameter, tensors[name], None)
    set_learning_rate(engine, 0.0)
    engine.step()
    adam = _adam(engine)
    for state in adam.state.values():
        state["step"] = torch.full_like(state["step"], step)
    for name, parameter in _learned(soft):
        for moment in MOMENTS:
            value = tensors[f"{moment}.{name}"]
            if parameter in adam.state:
                adam.state[parameter][moment].copy_(value)
            else:
                _set_full(parameter, value, moment)


def _learned(soft: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in soft.named_parameters() if p.requires_grad]


def _set_full(parameter: Tensor, value: Tensor, moment: str | None) -> None:
    """Set a scattered tensor from a whole one.

    At stage 3 each worker sets its own part: DeepSpeed's setter of whole
    tensors fails where the workers' number does not divide their size.
    """
    from deepspeed import utils

    if not hasattr(parameter, "ds_tensor"):
        value = value.to(parameter.device)
        if moment is None:
            utils.safe_set_full_fp32_param(parameter, value)
        else:
            utils.safe_set_full_optimizer_state(parameter, value, moment)
        return
    size = parameter.ds_tensor.numel()
    rank, num_workers = torch.distributed.get_rank(), torch.distributed.get_world_size()
    padded = nn.functional.pad(value.flatten(), (0, size * num_workers - value.numel()))
    part = padded.narrow(0, rank * size, size)
    if moment is None:
        utils.safe_set_local_fp32_param(parameter, part)
    else:
        utils.safe_set_local_optimizer_state(parameter, part, moment)


def _adam(engine: Any) -> Any:
    return getattr(engine.optimizer, "optimizer", engine.optimizer)


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().float().cpu().clone()
