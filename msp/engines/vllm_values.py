"""The bonus of asked slot values inside vLLM, as in :mod:`msp.engines.value_bias`."""

from __future__ import annotations

from typing import Any

from vllm import SamplingParams
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from msp.engines.value_bias import RowBias

VALUES = "msp_values"
BONUS = "msp_value_bonus"


class ValueBonus(AdapterLogitsProcessor):  # type: ignore[misc]
    """Gives rows whose ``extra_args`` name values their bonus; vLLM makes one per engine."""

    def is_argmax_invariant(self) -> bool:
        """Say that the likeliest token may become another one."""
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> RowBias | None:
        """Return what moves a row's logits; None for one without values."""
        extra: dict[str, Any] = params.extra_args or {}
        if not extra.get(VALUES):
            return None
        return RowBias(extra[VALUES], ends=list(params.stop_token_ids or ()), bonus=extra[BONUS])
