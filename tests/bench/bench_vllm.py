"""Engine ``vllm`` beside ``generate``, beside the release's decoding, and inside ``msp generate``.

::

    OMP_NUM_THREADS=1 .venv-vllm/bin/python tests/bench/bench_vllm.py

The requests are those of a run: the instruction prompt is shared, attribute prompts
come from a pool, contexts come in turn. The last case is a run in its steady state, the middle
half of its shards, beside vLLM's own ``generate`` on all of its requests
at once and then the bare encoder on all of its texts, each with the whole machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import torch
import transformers
from bench_engine import BEAMS, CONTEXTS, SAMPLING, STATIC_BATCHES, run_generate
from measuring import best, compare, report

from msp.config import ModelConfig, RunConfig
from msp.engines.base import Request
from msp.engines.vllm import VLLMEngine
from msp.models.frozen_lm import FrozenLM, load_frozen_lm

INSTRUCTION, ATTRIBUTE, POOL, PRESENT = 32, 8, 20, 4


def run_config(folder: str, *, seeds: int | None = None, **generate: Any) -> RunConfig:
    """Return the quickstart's run with engine vllm, without tuning."""
    return RunConfig.model_validate(
        {
            "output_uri": folder,
            "task": {"name": "jsonl", "path": "sample:front_desk", "max_seed_examples": seeds},
            "tune": {"num_epochs": 0},
            "denoise": {"max_drop_rate": 1.0},
            "generate": {"engine": "vllm", **generate},
        }
    )


def make_requests(lm: FrozenLM, *, num_units: int, num_candidates: int) -> list[Request]:
    """Return units as a run with mixture concat has them."""
    maker = torch.Generator().manual_seed(0)
    scale = lm.embedding.weight.float().std().item()
    sizes = (INSTRUCTION + POOL * ATTRIBUTE, lm.hidden_size)
    table = torch.randn(sizes, generator=maker).mul(scale).to(lm.model.dtype)
    shared, pool = table[:INSTRUCTION], table[INSTRUCTION:].view(POOL, ATTRIBUTE, -1)
    requests = []
    for i in range(num_units):
        chosen = torch.randperm(POOL, generator=maker)[:PRESENT].sort().values
        soft = torch.cat([shared, pool[chosen].flatten(0, 1)])
        requests.append(Request(i, CONTEXTS[i % len(CONTEXTS)], soft, num_candidates, i << 16))
    return requests


def measure_engine(*, num_units: int, num_candidates: int, runs: int) -> None:
    """Print the cases of the engine alone."""
    lm = load_frozen_lm(ModelConfig())
    engine = VLLMEngine(run_config("unused", num_candidates_per_unit=num_candidates))
    requests = make_requests(lm, num_units=num_units, num_candidates=num_candidates)
    few = [Request(r.unit_id, r.context, r.soft, 1, r.random_seed) for r in requests[:4]]
    ways = {
        f"{size} texts a batch": lambda size=size: run_generate(lm, requests, batch_size=size)
        for size in STATIC_BATCHES
    }
    way = best(ways)
    settings = {
        "units": num_units,
        "candidates": num_candidates,
        "threads": torch.get_num_threads(),
        "dtype": str(lm.model.dtype).removeprefix("torch."),
    }

    def tokens() -> float:
        texts = engine.generate(requests, SAMPLING)
        return sum(generated.num_tokens for unit in texts for generated in unit)

    def texts() -> float:
        return sum(map(len, engine.generate(requests, SAMPLING)))

    def release() -> float:
        run_generate(lm, few, batch_size=1, beams=BEAMS)
        return len(few)

    compare(
        "vllm beside generate at its best static batch size",
        tokens, ways[way], unit="tokens/s", num_runs=runs, **settings, theirs_with=way,
    )  # fmt: skip
    compare(
        "vllm beside the release's decoding (batch 1, beam-sample 4)",
        texts, release, unit="candidates/s", num_runs=runs, **settings,
    )  # fmt: skip


class Bare:
    """vLLM's own LLM and the bare encoder, on what a run asks for."""

    def __init__(self, config: RunConfig) -> None:
        from vllm import LLM

        from msp.engines.vllm_settings import engine_arguments
        from msp.models.encoder import load_encoder
        from msp.models.lm_files import find_lm

        self._config = config
        self._files = find_lm(config.model)
        self._llm = LLM(**engine_arguments(self._files, config))
        self._encoder = load_encoder(config.denoise.encoder)

    def rate(self, requests: list[Request]) -> float:
        """Return candidates a second of the two, one after the other."""
        from vllm import SamplingParams

        generate = self._config.generate
        params = SamplingParams(
            n=generate.num_candidates_per_unit, temperature=generate.temperature,
            top_p=generate.top_p, max_tokens=generate.max_new_tokens, detokenize=False,
            stop_token_ids=self._files.text_ids(["\n"])[0][-1:],
        )  # fmt: skip
        started = time.perf_counter()
        prompts = [self._prompt(request) for request in requests]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        tokens = [list(text.token_ids) for output in outputs for text in output.outputs]
        texts = self._files.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        self._encoder.encode(texts)
        return len(texts) / (time.perf_counter() - started)

    def _prompt(self, request: Request) -> dict[str, Any]:
        ids = self._files.text_ids([request.context])[0]
        num_soft = len(request.soft)
        rows = torch.zeros(num_soft + len(ids), request.soft.shape[1], dtype=torch.float32)
        rows[:num_soft] = request.soft
        return {
            "prompt_embeds": rows.to(self._llm.llm_engine.model_config.dtype),
            "prompt_token_ids": [0] * num_soft + ids,
            "prompt_is_token_ids": [False] * num_soft + [True] * len(ids),
        }


def measure_run(*, runs: int, seeds: int | None) -> None:
    """Print the case of a run in its steady state."""
    from msp.distributed import stages
    from msp.distributed.run import open_checked

    with tempfile.TemporaryDirectory(prefix="msp-bench-") as folder:
        opened = open_checked(run_config(f"{folder}/0", seeds=seeds))
        stages.tune(opened)
        requests = run_requests(opened)
        bare = Bare(opened.config)
        ours, theirs = [], []
        for number in range(runs + 1):
            opened = open_checked(run_config(f"{folder}/{number}", seeds=seeds))
            stages.tune(opened)
            ours.append(steady_rate(opened))
            theirs.append(bare.rate(requests))
    report(
        "msp generate in steady state beside bare vLLM and then the bare encoder",
        ours=ours[1:], theirs=theirs[1:], unit="candidates/s", units=len(requests),
        threads=torch.get_num_threads(),
    )  # fmt: skip


def run_requests(opened: Any) -> list[Request]:
    """Return all requests of a run, as its generators make them."""
    from msp.methods import make_plan
    from msp.methods.writing import UnitWriter
    from msp.models.embeddings import load_embeddings
    from msp.prompts.checkpoint import load_prompts

    class Recorder(UnitWriter):
        def __init__(self) -> None:
            scripted = opened.config.generate.model_copy(update={"engine": "scripted"})
            lm = load_embeddings(opened.config.model)
            config = opened.config.model_copy(update={"generate": scripted})
            soft = load_prompts(opened.store, lm)
            super().__init__(config, opened.task.ontology, lm=lm, soft=soft)

    plan = make_plan(opened.config, opened.task)
    return Recorder()._requests([plan.unit(i) for i in range(plan.num_units)])


def steady_rate(opened: Any) -> float:
    """Return candidates committed a second, over the middle half of the shards."""
    from msp.distributed.generate import _committed_rows
    from msp.methods import RoundPlan, make_plan
    from msp.methods.base import num_shards

    plan = make_plan(opened.config, opened.task)
    shards = num_shards(plan.num_units, opened.config.generate.units_per_shard)
    times, counts = [], []
    rows = _committed_rows(opened.config, opened.task, RoundPlan(0, 0), list(range(shards)))
    for row in rows:
        times.append(time.perf_counter())
        counts.append(row["num_candidates"])
    # As many shards are in flight at either mark: what was begun early and left late is alike.
    first, last = shards // 4, shards * 3 // 4
    return sum(counts[first + 1 : last + 1]) / (times[last] - times[first])


def main() -> None:
    """Measure every case and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seeds", type=int, help="seed examples of the run, fewer than all")
    parser.add_argument("--only", choices=["engine", "run"], help="one half alone")
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    if options.only != "run":
        measure_engine(
            num_units=options.units, num_candidates=options.candidates, runs=options.runs
        )
    if options.only != "engine":
        measure_run(runs=options.runs, seeds=options.seeds)


if __name__ == "__main__":
    main()
