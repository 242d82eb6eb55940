"""An LM whose next-token logits are moved by adapters of itself, as DExperts does it.

A row of the LM is one candidate; beside it stand rows of its adapters, which
read the same tokens after a start of their own. All adapters of a batch take
one forward pass together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.engines.decode import Prefill, Rows
from msp.engines.hf import HFEngine, prefill
from msp.models.frozen_lm import FrozenLM
from msp.models.lora import LoraBank

Steering = Sequence[tuple[int, float]]


class SteeredRows:
    """Rows of an LM with ``logits + sum of weight * logits of an adapter``.

    See :class:`msp.engines.decode.Rows`.

    Args:
        base: N rows of the LM itself.
        experts: M rows, each of one adapter.
        bank: the adapters.
        adapters: [M] int64, the adapter of each such row.
        owners: [M] int64, the row of ``base`` that it steers.
        weights: [M] float32.
    """

    def __init__(
        self,
        base: Rows,
        experts: Rows,
        bank: LoraBank,
        *,
        adapters: Tensor,
        owners: Tensor,
        weights: Tensor,
    ) -> None:
        self._base, self._experts, self._bank = base, experts, bank
        self._adapters, self._owners, self._weights = adapters, owners, weights
        self.logits = self._steered(base.logits, experts.logits)

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        base = self._base.step(tokens)
        with self._bank.active(self._adapters):
            experts = self._experts.step(tokens[self._owners])
        self.logits = self._steered(base, experts)
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given ascending [M] int64."""
        place = torch.full((len(self.logits),), -1, dtype=torch.int64, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        owners = place[self._owners]
        kept = (owners >= 0).nonzero()[:, 0]
        self._base.keep(rows)
        self._experts.keep(kept)
        self._owners, self._adapters = owners[kept], self._adapters[kept]
        self._weights, self.logits = self._weights[kept], self.logits[rows]

    def _steered(self, base: Tensor, experts: Tensor) -> Tensor:
        moved = self._weights[:, None] * experts.float()
        return base.float().index_add(0, self._owners, moved)


class SteeredPrefill:
    """An LM's prompts, and each adapter's start; see :class:`msp.engines.decode.Prefill`.

    Args:
        base: of the LM itself.
        lm: the LM, which the bank's adapters change.
        bank: the adapters.
        start: [L, H], what each adapter reads before the candidate.
        steering: of each prompt of ``base``.
    """

    def __init__(
        self,
        base: Prefill,
        lm: FrozenLM,
        bank: LoraBank,
        *,
        start: Tensor,
        steering: Sequence[Steering],
    ) -> None:
        self._base, self._bank, self._steering = base, bank, steering
        self._used = sorted({adapter for pairs in steering for adapter, _ in pairs})
        self._device = start.device
        with bank.active(torch.tensor(self._used, device=start.device)):
            # All starts are alike, so they are one batch, in the order of the adapters.
            self._experts = prefill(lm, [start] * len(self._used))
        self.num_positions = base.num_positions + self._experts.num_positions

    def rows(self, units: Tensor, *, room: int) -> SteeredRows:
        """Return a row per candidate; see :class:`msp.engines.decode.Prefill`."""
        place = {adapter: place for place, adapter in enumerate(self._used)}
        # An adapter's rows stand together, as a prompt's rows must.
        steered = sorted(
            (place[adapter], row, weight)
            for row, unit in enumerate(units.tolist())
            for adapter, weight in self._steering[unit]
        )
        places, owners, weights = zip(*steered, strict=True)
        starts = torch.tensor(places, device=self._device)
        return SteeredRows(
            self._base.rows(units, room=room),
            self._experts.rows(starts, room=room),
            self._bank,
            adapters=torch.tensor(self._used, device=self._device)[starts],
            owners=torch.tensor(owners, device=self._device),
            weights=torch.tensor(weights, device=self._device),
        )


class SteeredEngine(HFEngine):
    """Writes as :class:`msp.engines.hf.HFEngine` does, steered as each request says.

    Args:
        lm: the frozen LM.
        bank: its adapters.
        start: the text that every adapter reads before the candidate.
    """

    def __init__(self, lm: FrozenLM, bank: LoraBank, *, start: str) -> None:
        super().__init__(lm)
        self._bank = bank
        self._start = lm.files.text_ids([start])[0]

    def _num_units(
        self, requests: Sequence[Request], lengths: Sequence[int], sampling: GenerateConfig
    ) -> int:
        """Return how many units go into a batch, an adapter's row counted like one of the LM."""
        rows = [
            replace(request, num_candidates=request.num_candidates * (1 + len(request.steering)))
            for request in requests
        ]
        return super()._num_units(rows, lengths, sampling)

    def _prefilled(self, requests: Sequence[Request], prompts: Sequence[Tensor]) -> Prefill:
        base = super()._prefilled(requests, prompts)
        steering = [request.steering for request in requests]
        if not all(steering):
            assert not any(steering), "either all requests of a batch are steered or none"
            return base
        ids = torch.tensor(self._start, dtype=torch.int64, device=self._lm.device)
        start = self._lm.embedding(ids)
        return SteeredPrefill(base, self._lm, self._bank, start=start, steering=steering)
