"""Texts from a transformers model in this process: batches of units of like length, no copies."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.engines.batch_size import Footprint, usable_bytes
from msp.engines.decode import Decoded, Prefill, decode
from msp.engines.hf_causal import CausalPrefill
from msp.engines.hf_seq2seq import Seq2SeqPrefill
from msp.engines.hf_text import check_number, first_token, stop_tokens, texts_of
from msp.engines.sampling import stream_ids
from msp.engines.value_bias import ValueBias, value_tokens
from msp.errors import GenerationError
from msp.records import Generated

if TYPE_CHECKING:
    from msp.models.frozen_lm import FrozenLM

logger = logging.getLogger(__name__)

MAX_ROWS = 1024
"""Candidates in one forward pass at most; each has its own keys and values."""


class HFEngine:
    """Generates with a frozen LM from ``[soft prompt][text tokens]``, without special tokens.

    A unit's prompt is computed once, whatever the number of its candidates.
    Where the device's memory does not suffice, batches are halved, and stay so.

    Args:
        lm: the frozen LM, on the device where it is to run.
    """

    def __init__(self, lm: FrozenLM) -> None:
        self._lm = lm
        self._footprint = Footprint.of(lm)
        self._counts: Counter[str] = Counter()
        self._stop: Tensor | None = None
        self._max_units: int | None = None
        self._max_rows = MAX_ROWS

    def num_prompt_tokens(self, request: Request) -> int:
        """Return how many positions the request's soft prompt and text take."""
        return len(self._token_ids([request])[0]) + _soft_length(request)

    def generate(
        self, requests: Sequence[Request], sampling: GenerateConfig
    ) -> list[list[Generated]]:
        """Return texts as :class:`msp.engines.base.Engine` says.

        ``num_tokens`` and ``logprob`` include the token that ended a text, which is a
        newline, the end of sequence, or whatever came as ``max_new_tokens``-th.

        Raises:
            GenerationError: a request is longer than the LM's context; or the LM gives
                numbers that are none; or not even one candidate fits the memory.
        """
        token_ids = self._token_ids(requests)
        for request, ids in zip(requests, token_ids, strict=True):
            self._check_length(request, len(ids), sampling)
        lengths = [len(ids) + _soft_length(r) for r, ids in zip(requests, token_ids, strict=True)]
        order = sorted(
            (i for i, request in enumerate(requests) if request.num_candidates),
            key=lambda i: -lengths[i],
        )
        results: list[list[Generated]] = [[] for _ in requests]
        while order:
            left = [requests[i] for i in order]
            batch = order[: self._num_units(left, [lengths[i] for i in order], sampling)]
            texts = self._attempt(
                [requests[i] for i in batch], [token_ids[i] for i in batch], sampling
            )
            if texts is None:
                continue
            for i, unit_texts in zip(batch, texts, strict=True):
                results[i] = unit_texts
            del order[: len(batch)]
        return results

    def _num_units(
        self, requests: Sequence[Request], lengths: Sequence[int], sampling: GenerateConfig
    ) -> int:
        """Return how many of the units that are left go into the next batch; one at least.

        Args:
            requests: those that are left.
            lengths: positions that the prompt of each takes.
            sampling: ``batch_size`` and ``max_new_tokens`` are read.
        """
        most = self._max_units or len(requests)
        room = math.inf
        if sampling.batch_size == "auto":
            room = usable_bytes(self._lm.device)
        else:
            most = min(most, sampling.batch_size)
        num_rows = 0
        for count, (request, length) in enumerate(zip(requests[:most], lengths, strict=False)):
            num_rows += request.num_candidates
            room -= self._footprint.unit(length, request.num_candidates, sampling.max_new_tokens)
            if count and (num_rows > self._max_rows or room < 0):
                return count
        return min(most, len(requests))

    def _attempt(
        self,
        requests: Sequence[Request],
        token_ids: Sequence[list[int]],
        sampling: GenerateConfig,
    ) -> list[list[Generated]] | None:
        """Return the batch's texts, or None where it did not fit and is now smaller."""
        try:
            with torch.inference_mode():
                return self._generate(requests, token_ids, sampling)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            self._shrink(requests, error)
        # Outside of the except block, so that the failed pass's tensors are free by now.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _shrink(self, requests: Sequence[Request], error: RuntimeError) -> None:
        num_rows = sum(request.num_candidates for request in requests)
        if len(requests) == 1 and min(num_rows, self._max_rows) == 1:
            raise GenerationError(
                f"unit {requests[0].unit_id}: one candidate of {self._lm.name} does not fit the "
                "memory; use a smaller model, model.dtype bfloat16, or a larger device."
            ) from error
        self._max_units = max(1, len(requests) // 2)
        self._max_rows = max(1, min(num_rows, self._max_rows) // 2)
        logger.warning(
            "out of memory with %d units and %d candidates in a batch; going on with %d and %d. "
            "Set generate.batch_size to start there.",
            len(requests), num_rows, self._max_units, self._max_rows,
        )  # fmt: skip

    def _generate(
        self,
        requests: Sequence[Request],
        token_ids: Sequence[list[int]],
        sampling: GenerateConfig,
    ) -> list[list[Generated]]:
        prompts = [self._prompt(r, ids) for r, ids in zip(requests, token_ids, strict=True)]
        prefill = self._prefilled(requests, prompts)
        self._counts["prompt_positions"] += prefill.num_positions
        self._counts["padding_positions"] += prefill.num_positions - sum(map(len, prompts))
        device = prompts[0].device
        counts = torch.tensor([request.num_candidates for request in requests])
        units = torch.arange(len(requests)).repeat_interleave(counts)
        streams = torch.cat([stream_ids(r.random_seed, r.num_candidates) for r in requests])
        values = self._values(requests, sampling)
        texts: list[list[Generated]] = [[] for _ in requests]
        for chunk in torch.split(torch.arange(len(units)), self._max_rows):
            own = units[chunk].to(device)
            decoded = self._decode(prefill, own, streams[chunk].to(device), sampling, values)
            generated = texts_of(self._lm, decoded)
            for unit, text in zip(units[chunk].tolist(), generated, strict=True):
                check_number(self._lm, requests[unit], text)
                texts[unit].append(text)
        return texts

    def _prefilled(self, requests: Sequence[Request], prompts: Sequence[Tensor]) -> Prefill:
        """Return the state after the requests' prompts [L, H], the longest first."""
        return prefill(self._lm, prompts)

    def take_counts(self) -> dict[str, int]:
        """Return counts as :class:`msp.engines.base.Engine` says."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def _decode(
        self,
        prefill: Prefill,
        units: Tensor,
        streams: Tensor,
        sampling: GenerateConfig,
        values: Sequence[Sequence[Sequence[int]]],
    ) -> Decoded:
        rows = prefill.rows(units, room=sampling.max_new_tokens)
        if self._stop is None:
            self._stop = stop_tokens(self._lm, rows.logits.shape[1]).to(units.device)
        bias = None
        if any(values):
            ends = self._stop.nonzero()[:, 0]
            bias = ValueBias(values, units, ends=ends, bonus=sampling.value_bonus)
        return decode(rows, streams, stop=self._stop, sampling=sampling, bias=bias)

    def _values(
        self, requests: Sequence[Request], sampling: GenerateConfig
    ) -> list[list[list[int]]]:
        """Return the tokens of each request's values; none at all where they get no bonus."""
        if not sampling.value_bonus:
            return [[] for _ in requests]
        return [value_tokens(self._lm.tokenizer, request.values) for request in requests]

    def _prompt(self, request: Request, token_ids: list[int]) -> Tensor:
        """Return [L, H], the soft prompt and the embedded text; at least one position."""
        embedding = self._lm.embedding
        if not token_ids and not _soft_length(request):
            token_ids = [first_token(self._lm, request)]
        ids = torch.tensor(token_ids, dtype=torch.int64, device=self._lm.device)
        text: Tensor = embedding(ids)
        return text if request.soft is None else torch.cat([request.soft.to(text), text])

    def _token_ids(self, requests: Sequence[Request]) -> list[list[int]]:
        return self._lm.files.text_ids([request.context for request in requests])

    def _check_length(self, request: Request, num_text: int, sampling: GenerateConfig) -> None:
        num_soft, room = _soft_length(request), sampling.max_new_tokens
        after = 0 if self._lm.is_encoder_decoder else room
        if num_soft + num_text + after <= self._lm.max_positions:
            return
        raise GenerationError(
            f"unit {request.unit_id} has {num_soft} soft prompt positions, {num_text} text tokens "
            f"and generate.max_new_tokens {room}, but {self._lm.name} has "
            f"{self._lm.max_positions} positions; use fewer or shorter exemplars, or lower "
            "generate.max_new_tokens."
        )


def prefill(lm: FrozenLM, prompts: Sequence[Tensor]) -> Prefill:
    """Return an LM's state after prompts [L, H], the longest first."""
    return (Seq2SeqPrefill if lm.is_encoder_decoder else CausalPrefill)(lm.model, prompts)


def _soft_length(request: Request) -> int:
    return 0 if request.soft is None else int(request.soft.shape[0])


def _is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has an exception of its own; CPU allocators and some kernels only say it in words."""
    words = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in words
        or "can't allocate memory" in words
    )
