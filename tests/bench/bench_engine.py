"""Tokens per second of the engine beside transformers' ``generate``, on the same requests.

::

    OMP_NUM_THREADS=1 python tests/bench/bench_engine.py

``generate`` is given the batch size that is best for it, of those tried, in the
engine's number format, sorted by length; where it can encode a prompt once for
all its texts (``num_return_sequences`` of an encoder-decoder), that is tried, too.
MSP's release decodes one text at a time with four sampled beams. Tokens after
a text's end count for nobody.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from measuring import best, compare
from models import save_t5

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
"""Batch 1 with beams is so slow that a few units must do; speed is per text."""
STATIC_BATCHES = (16, 64, 160)

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


def run_engine(lm: FrozenLM, requests: Sequence[Request]) -> int:
    """Write all texts with the engine; return the number of tokens."""
    results = HFEngine(lm).generate(requests, SAMPLING)
    return sum(generated.num_tokens for unit in results for generated in unit)


def run_generate(
    lm: FrozenLM, requests: Sequence[Request], *, batch_size: int, beams: int = 1, times: int = 1
) -> int:
    """Write all texts with ``generate``; return the number of tokens.

    Args:
        lm: the frozen LM.
        requests: each with as many candidates as the first.
        batch_size: texts at a time.
        beams: of each text.
        times: texts that ``generate`` makes of each prompt it is given.
    """
    prompts = [
        torch.cat([request.soft, lm.embedding(torch.tensor(ids, device=lm.device))])
        for request in requests
        for ids in lm.files.text_ids([request.context])
        for _ in range(request.num_candidates // times)
        if request.soft is not None
    ]
    prompts.sort(key=len)
    stop = stop_tokens(lm, lm.embedding.weight.shape[0]).nonzero()[:, 0].tolist()
    num_tokens, step = 0, max(1, batch_size // times)
    for start in range(0, len(prompts), step):
        batch = prompts[start : start + step]
        embeddings, mask = pad_prompts(batch, left=not lm.is_encoder_decoder)
        with torch.inference_mode():
            tokens = lm.model.generate(
                inputs_embeds=embeddings, attention_mask=mask.long(), do_sample=True,
                num_beams=beams, temperature=SAMPLING.temperature, top_p=SAMPLING.top_p,
                top_k=0, max_new_tokens=SAMPLING.max_new_tokens, eos_token_id=stop,
                pad_token_id=lm.tokenizer.pad_token_id, num_return_sequences=times,
            )  # fmt: skip
        num_tokens += count_tokens(tokens[:, int(lm.is_encoder_decoder) :], stop)
    return num_tokens


def count_tokens(tokens: torch.Tensor, stop: Sequence[int]) -> int:
    """Return how many tokens stand up to and with each row's first stop token."""
    is_stop = torch.isin(tokens, torch.tensor(stop, device=tokens.device)).long()
    return int((is_stop.cumsum(1) - is_stop == 0).sum())


def measure(kind: str, lm: FrozenLM, *, num_units: int, num_candidates: int, runs: int) -> None:
    """Print the cases of one LM."""
    requests = make_requests(lm, num_units=num_units, num_candidates=num_candidates)
    few = [Request(r.unit_id, r.context, r.soft, 1, r.random_seed) for r in requests[:BEAM_UNITS]]
    returned = [1, num_candidates] if lm.is_encoder_decoder else [1]
    ways = {
        f"{size} texts a batch, {times} of each prompt": (
            lambda size=size, times=times: run_generate(lm, requests, batch_size=size, times=times)
        )
        for size in STATIC_BATCHES
        for times in returned
    }
    way = best(ways)
    settings = {
        "units": num_units,
        "candidates": num_candidates,
        "threads": torch.get_num_threads(),
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        "device": str(lm.device),
    }
    compare(
        f"hf, {kind}, beside generate at its best static batch size",
        lambda: run_engine(lm, requests),
        ways[way],
        unit="tokens/s",
        num_runs=runs,
        **settings,
        theirs_with=way,
    )

    def release() -> float:
        run_generate(lm, few, batch_size=1, beams=BEAMS)
        return len(few)

    def ours() -> float:
        run_engine(lm, requests)
        return num_units * num_candidates

    compare(
        f"hf, {kind}, beside the release's decoding (batch 1, beam-sample 4)",
        ours,
        release,
        unit="candidates/s",
        num_runs=runs,
        **settings,
    )


def main() -> None:
    """Measure every case and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", help="as model.name in a config, instead of the two of here")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory(prefix="msp-bench-") as folder:
        models = {"T5-style": str(save_t5(Path(folder))), "causal": "builtin"}
        if options.model:
            models = {options.model: options.model}
        for kind, name in models.items():
            lm = load_frozen_lm(ModelConfig(name=name))
            measure(
                kind,
                lm,
                num_units=options.units,
                num_candidates=options.candidates,
                runs=options.runs,
            )


if __name__ == "__main__":
    main()
