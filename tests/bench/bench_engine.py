"""Tokens per second of the engine beside transformers' ``generate``, on the same requests.

Each case is one JSON line with the machine and the versions it was measured on::

    python tests/bench/bench_engine.py --model builtin

Every case writes ``--candidates`` texts for each unit (beams: one text for a
few units). ``generate`` computes a prompt once per text, as it also does for
``num_return_sequences``. Tokens after a text's end count for no case. Where
other programs share the cores, compare ``tokens_per_cpu_second``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from msp.config import GenerateConfig, ModelConfig
from msp.engines.base import Request
from msp.engines.forward import pad_prompts
from msp.engines.hf import HFEngine
from msp.engines.hf_text import stop_tokens
from msp.models.frozen_lm import FrozenLM, load_frozen_lm

SAMPLING = GenerateConfig(temperature=0.8, top_p=0.95, top_k=0, max_new_tokens=40)
SOFT_LENGTH = 64
BEAMS = 4
BEAM_UNITS = 4
"""Batch 1 with beams is so slow that a few units must do; speed is per token."""

CONTEXTS = (
    "Utterances in the hotels domain:\n1) check out; how [after 6 pm; John Smith]: "
    "how do i check out after 6 pm, the name is John Smith\n2) change; booking [tomorrow]: "
    "please change my booking to tomorrow\n3) check in [today]:",
    "Utterances in the banking domain:\n1) card; lost: i lost my card\n2) transfer [200 euros]:",
)


def make_requests(lm: FrozenLM, *, num_units: int, num_candidates: int) -> list[Request]:
    """Return units with soft prompts as wide as real embeddings, contexts in turn."""
    maker = torch.Generator().manual_seed(0)
    scale = lm.embedding.weight.float().std().item()
    shape = (num_units, SOFT_LENGTH, lm.hidden_size)
    softs = torch.randn(shape, generator=maker).mul(scale).to(lm.device, lm.model.dtype)
    return [
        Request(i, CONTEXTS[i % len(CONTEXTS)], softs[i], num_candidates, i << 16)
        for i in range(num_units)
    ]


def run_engine(lm: FrozenLM, requests: Sequence[Request], *, batch_size: int) -> int:
    """Write all texts with the engine; return the number of tokens."""
    sampling = SAMPLING.model_copy(update={"batch_size": batch_size})
    results = HFEngine(lm).generate(requests, sampling)
    return sum(generated.num_tokens for unit in results for generated in unit)


def run_generate(lm: FrozenLM, requests: Sequence[Request], *, batch_size: int, beams: int) -> int:
    """Write all texts with ``generate``, ``batch_size`` texts at a time; return tokens."""
    prompts = [
        torch.cat([request.soft, lm.embedding(torch.tensor(ids, device=lm.device))])
        for request in requests
        for ids in lm.files.text_ids([request.context])
        for _ in range(request.num_candidates)
        if request.soft is not None
    ]
    prompts.sort(key=len)
    stop = stop_tokens(lm, lm.embedding.weight.shape[0]).nonzero()[:, 0].tolist()
    num_tokens = 0
    for start in range(0, len(prompts), batch_size):
        embeddings, mask = pad_prompts(
            prompts[start : start + batch_size], left=not lm.is_encoder_decoder
        )
        with torch.inference_mode():
            tokens = lm.model.generate(
                inputs_embeds=embeddings, attention_mask=mask.long(), do_sample=True,
                num_beams=beams, temperature=SAMPLING.temperature, top_p=SAMPLING.top_p,
                top_k=0, max_new_tokens=SAMPLING.max_new_tokens, eos_token_id=stop,
                pad_token_id=lm.tokenizer.pad_token_id,
            )  # fmt: skip
        num_tokens += count_tokens(tokens[:, int(lm.is_encoder_decoder) :], stop)
    return num_tokens


def count_tokens(tokens: torch.Tensor, stop: Sequence[int]) -> int:
    """Return how many tokens stand up to and with each row's first stop token."""
    is_stop = torch.isin(tokens, torch.tensor(stop, device=tokens.device)).long()
    return int((is_stop.cumsum(1) - is_stop == 0).sum())


def measure(run: Callable[[], int], *, num_runs: int) -> dict[str, Any]:
    """Return the median speed of some runs, after one that warms up."""
    run()
    speeds, cpu_speeds, num_tokens = [], [], 0
    for _ in range(num_runs):
        start, cpu_start = time.perf_counter(), time.process_time()
        num_tokens = run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        speeds.append(round(num_tokens / (time.perf_counter() - start), 1))
        cpu_speeds.append(round(num_tokens / (time.process_time() - cpu_start), 1))
    return {
        "tokens_per_second": statistics.median(speeds),
        "tokens_per_cpu_second": statistics.median(cpu_speeds),
        "runs": speeds,
        "num_tokens": num_tokens,
    }


def machine(lm: FrozenLM) -> dict[str, Any]:
    """Return where and with what it was measured."""
    on_gpu = lm.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        "parameters": sum(p.numel() for p in lm.model.parameters()),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    """Return the processor's name where Linux tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure every case and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", default="builtin", help="as model.name in a config")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    lm = load_frozen_lm(ModelConfig(name=options.model))
    requests = make_requests(lm, num_units=options.units, num_candidates=options.candidates)
    few = [Request(r.unit_id, r.context, r.soft, 1, r.random_seed) for r in requests[:BEAM_UNITS]]
    cases: dict[str, Callable[[], int]] = {
        "engine, 32 units a batch": lambda: run_engine(lm, requests, batch_size=32),
        "generate, 32 texts a batch": lambda: run_generate(lm, requests, batch_size=32, beams=1),
        "generate, 256 texts a batch": lambda: run_generate(lm, requests, batch_size=256, beams=1),
        "generate, beam-sample 4, 1 text a batch": lambda: run_generate(
            lm, few, batch_size=1, beams=BEAMS
        ),
    }
    settings = {"units": options.units, "candidates": options.candidates}
    for name, run in cases.items():
        measured = measure(run, num_runs=options.runs)
        print(json.dumps({"case": name, **measured, **settings, **machine(lm)}), flush=True)


if __name__ == "__main__":
    main()
