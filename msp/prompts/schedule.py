"""The learning rate as a function of the step alone: a resumed run follows the same curve."""

from __future__ import annotations

import math


def learning_rate(step: int, *, peak: float, num_steps: int, warmup_fraction: float) -> float:
    """Return the rate of an optimiser step: a linear rise, then half a cosine down to zero.

    Args:
        step: counted from 0 over the whole tuning.
        peak: the highest rate.
        num_steps: planned steps of the whole tuning.
        warmup_fraction: share of the steps that rise.
    """
    num_warmup = math.ceil(num_steps * warmup_fraction)
    if step < num_warmup:
        return peak * (step + 1) / num_warmup
    done = (step - num_warmup) / max(1, num_steps - num_warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
