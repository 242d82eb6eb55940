"""The likeliest line after each context: how an LM is asked for an answer instead of for texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.engines.hf import HFEngine
from msp.engines.sampling import GREEDY_TEMPERATURE

if TYPE_CHECKING:
    from torch import Tensor

    from msp.models.frozen_lm import FrozenLM


def likeliest_lines(
    lm: FrozenLM, contexts: Sequence[str], config: GenerateConfig, *, soft: Tensor | None = None
) -> list[str]:
    """Return the line that an LM writes after each context; none where a context is too long.

    Args:
        lm: the LM.
        contexts: N of them.
        config: ``max_new_tokens`` and ``batch_size`` are read.
        soft: [P, H], a soft prompt before each context.
    """
    engine = HFEngine(lm)
    changes = {"temperature": GREEDY_TEMPERATURE, "repetition_penalty": 1.0}
    sampling = config.model_copy(update=changes)
    after = 0 if lm.is_encoder_decoder else sampling.max_new_tokens
    requests = [
        Request(i, context, soft, num_candidates=1, random_seed=0)
        for i, context in enumerate(contexts)
    ]
    room = lm.max_positions - after
    fitting = [r for r in requests if engine.num_prompt_tokens(r) <= room]
    lines = [""] * len(contexts)
    for request, written in zip(fitting, engine.generate(fitting, sampling), strict=True):
        lines[request.unit_id] = written[0].text
    return lines
