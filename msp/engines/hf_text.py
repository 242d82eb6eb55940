"""Between an LM's tokens and texts: where a text starts, where it ends, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msp.engines.base import Request
from msp.engines.decode import Decoded
from msp.errors import GenerationError
from msp.records import Generated

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from msp.models.frozen_lm import FrozenLM
    from msp.models.lm_files import LMFiles

REPLACEMENT_CHARACTER = "\ufffd"


def first_token(lm: FrozenLM | LMFiles, request: Request) -> int:
    """Return the token that stands for a prompt without any position: a causal LM needs one."""
    start = lm.tokenizer.bos_token_id
    token = lm.tokenizer.eos_token_id if start is None else start
    if token is None:
        raise GenerationError(
            f"unit {request.unit_id} has no soft prompt and no context, and {lm.name} has no "
            "special token to start from; give it a context."
        )
    return int(token)


def stop_tokens(lm: FrozenLM, vocab_size: int) -> Tensor:
    """Return [V] bool: the tokens that end a text, by a newline in them or as end of sequence."""
    ends = lm.model.generation_config.eos_token_id
    return ending_tokens(lm.tokenizer, vocab_size, ends=ends)


def ending_tokens(
    tokenizer: PreTrainedTokenizerBase, vocab_size: int, *, ends: Sequence[int] | int | None
) -> Tensor:
    """Return [V] bool: tokens with a newline, the end token, and those of the LM's own config."""
    stop = torch.zeros(vocab_size, dtype=torch.bool)
    ids = [[token] for token in range(min(vocab_size, len(tokenizer)))]
    for (token,), text in zip(ids, tokenizer.batch_decode(ids), strict=True):
        stop[token] = "\n" in text
    configured = ends if isinstance(ends, Sequence) else [ends]
    for token in (*configured, tokenizer.eos_token_id):
        if token is not None and token < vocab_size:
            stop[token] = True
    return stop


def texts_of(lm: FrozenLM | LMFiles, decoded: Decoded) -> Iterator[Generated]:
    """Yield each row's text: one line, stripped, without special tokens and broken characters."""
    texts = lm.tokenizer.batch_decode(
        decoded.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    for text, tokens, logprob in zip(texts, decoded.tokens, decoded.logprobs, strict=True):
        # A byte-level tokenizer can write bytes that are no character; they decode to this one.
        line = text.partition("\n")[0].replace(REPLACEMENT_CHARACTER, "").strip()
        yield Generated(text=line, num_tokens=len(tokens), logprob=logprob)


def check_number(lm: FrozenLM, request: Request, generated: Generated) -> None:
    """Raise GenerationError where the LM's logits were not numbers, as float16 may overflow."""
    if generated.logprob != generated.logprob:
        raise GenerationError(
            f"unit {request.unit_id}: {lm.name} in {lm.model.dtype} gives logits that are no "
            "numbers; set model.dtype to bfloat16 or float32, or tune with a lower "
            "tune.learning_rate."
        )
