"""Texts from vLLM: continuous batching, so that no text waits for a batch's longest one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

import torch

from msp.config import GenerateConfig, RunConfig
from msp.engines.base import Request
from msp.engines.decode import Decoded
from msp.engines.hf_text import ending_tokens, first_token, texts_of
from msp.engines.value_bias import value_tokens
from msp.engines.vllm_loop import EngineLoop, Job
from msp.engines.vllm_settings import check_vllm, dtype_of, engine_arguments, is_greedy, on_cpu
from msp.errors import GenerationError
from msp.models.lm_files import find_lm
from msp.records import Generated

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.inputs.engine import EngineInput
    from vllm.outputs import CompletionOutput

_MAX_SEED = 2**63 - 1


class VLLMEngine:
    """Generates with a decoder-only LM from ``[soft prompt][text tokens]``, like engine ``hf``.

    Any number of threads may call :meth:`generate` at once; their texts share
    vLLM's batch, and each call returns when its own texts are done. A unit's
    candidates are samples of one prompt.

    On a GPU candidate k has the seed ``random_seed + k``. On a CPU vLLM takes no
    seed per request, so a call that finds the engine idle seeds it with its first
    request, and a call that does not shares the others' random numbers. Either
    way the numerics depend on which texts shared a batch: after a resume the ids
    are the same, and the texts of what was made again may differ.

    Args:
        config: the run's; ``model``, ``generate`` and ``cluster.gpus_per_generator`` are read.

    Raises:
        ConfigError: vLLM is not installed, or the LM is not decoder-only.
    """

    def __init__(self, config: RunConfig) -> None:
        # A tokenizer of its own: a tokenizer is not for two threads at once.
        self._files = find_lm(config.model)
        check_vllm(self._files)
        arguments = engine_arguments(self._files, config)
        self._dtype = dtype_of(config.model)
        self._lock = threading.Lock()
        self._counted: dict[str, int] = {}
        text_config = self._files.config.get_text_config()
        stop = ending_tokens(
            self._files.tokenizer, int(text_config.vocab_size), ends=text_config.eos_token_id
        )
        self._stop: list[int] = stop.nonzero()[:, 0].tolist()
        self._loop = EngineLoop(arguments)

    def generate(
        self, requests: Sequence[Request], sampling: GenerateConfig
    ) -> list[list[Generated]]:
        """Return texts as :class:`msp.engines.base.Engine` says; counts are those of ``hf``.

        Requests go in by their soft prompts, then by their contexts, so that those which
        begin alike find each other's blocks in the prefix cache before they are evicted.

        Raises:
            GenerationError: a request is longer than the LM's context, or the LM gives
                numbers that are none.
            EngineDiedError: vLLM failed; this object is of no use any more.
        """
        with self._lock:
            token_ids = self._files.text_ids([request.context for request in requests])
            prompts = [
                self._prompt(request, ids, sampling)
                for request, ids in zip(requests, token_ids, strict=True)
            ]
        order = sorted(
            (i for i, request in enumerate(requests) if request.num_candidates),
            key=lambda i: _prefix(requests[i]),
        )
        if not order:
            return [[] for _ in requests]
        outputs = self._loop.run(
            Job(
                [(prompts[i], self._params(requests[i], sampling)) for i in order],
                seed=requests[order[0]].random_seed & _MAX_SEED,
            )
        )
        results: list[list[Generated]] = [[] for _ in requests]
        with self._lock:
            for i, completions in zip(order, outputs, strict=True):
                results[i] = self._texts(requests[i], completions)
        return results

    def take_counts(self) -> dict[str, int]:
        """Return counts as :class:`msp.engines.base.Engine` says; a text is a prompt of its own."""
        found = _cache_counts()
        with self._lock:
            counts = {name: found[name] - self._counted.get(name, 0) for name in found}
            self._counted = found
        return counts

    def _prompt(
        self, request: Request, token_ids: list[int], sampling: GenerateConfig
    ) -> EngineInput:
        from vllm.inputs.engine import embeds_input, tokens_input

        self._check_length(request, len(token_ids), sampling)
        if request.soft is None or not request.soft.shape[0]:
            return tokens_input(token_ids or [first_token(self._files, request)])
        num_soft, hidden_size = request.soft.shape
        # Text travels as token ids; its rows of this tensor are not looked at.
        rows = torch.zeros(num_soft + len(token_ids), hidden_size, dtype=self._dtype)
        rows[:num_soft] = request.soft
        return embeds_input(
            rows,
            prompt_token_ids=[0] * num_soft + token_ids,
            is_token_ids=[False] * num_soft + [True] * len(token_ids),
        )

    def _params(self, request: Request, sampling: GenerateConfig) -> SamplingParams:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        greedy = is_greedy(sampling)
        return SamplingParams(
            n=1 if greedy else request.num_candidates,
            temperature=0.0 if greedy else sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=None if on_cpu() or greedy else request.random_seed & _MAX_SEED,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=self._stop,
            logprobs=0,  # of the sampled token alone, without temperature and cuts
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args=self._values(request, sampling),
        )

    def _values(self, request: Request, sampling: GenerateConfig) -> dict[str, Any] | None:
        if not (sampling.value_bonus and request.values):
            return None
        from msp.engines.vllm_values import BONUS, VALUES

        with self._lock:
            tokens = value_tokens(self._files.tokenizer, request.values)
        return {VALUES: tokens, BONUS: sampling.value_bonus}

    def _texts(self, request: Request, completions: Sequence[CompletionOutput]) -> list[Generated]:
        decoded = Decoded(
            tokens=[list(completion.token_ids) for completion in completions],
            logprobs=[_logprob(completion) for completion in completions],
        )
        texts = list(texts_of(self._files, decoded))
        if any(text.logprob != text.logprob for text in texts):
            raise GenerationError(
                f"unit {request.unit_id}: {self._files.name} in {self._dtype} gives logits that "
                "are no numbers; set model.dtype to bfloat16 or float32, or tune with a lower "
                "tune.learning_rate."
            )
        # Where sampling is greedy, one text stands for all candidates.
        return texts if len(texts) > 1 else list(repeat(texts[0], request.num_candidates))

    def _check_length(self, request: Request, num_text: int, sampling: GenerateConfig) -> None:
        num_soft = 0 if request.soft is None else int(request.soft.shape[0])
        room = sampling.max_new_tokens
        if num_soft + num_text + room <= self._files.max_positions:
            return
        raise GenerationError(
            f"unit {request.unit_id} has {num_soft} soft prompt positions, {num_text} text tokens "
            f"and generate.max_new_tokens {room}, but {self._files.name} has "
            f"{self._files.max_positions} positions; use fewer or shorter exemplars, or lower "
            "generate.max_new_tokens."
        )


def _prefix(request: Request) -> tuple[bytes, str]:
    """Return a key that puts requests side by side which begin alike."""
    if request.soft is None:
        return b"", request.context
    return request.soft.detach().float().cpu().numpy().tobytes(), request.context


def _logprob(completion: Any) -> float:
    found = completion.cumulative_logprob
    return float("nan") if found is None else float(found)


def _cache_counts() -> dict[str, int]:
    """Return what this process's vLLM has looked up in its prefix cache, and found there."""
    from vllm.v1.metrics.reader import Counter, get_metrics_snapshot

    names = {
        "vllm:prefix_cache_queries": "prompt_positions",
        "vllm:prefix_cache_hits": "cached_positions",
    }
    found = dict.fromkeys(names.values(), 0)
    for metric in get_metrics_snapshot():
        if isinstance(metric, Counter) and metric.name in names:
            found[names[metric.name]] += metric.value
    return found
