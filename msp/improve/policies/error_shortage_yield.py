"""By error, shortage and yield: nothing is spent where nearly all candidates are dropped.

The yield is drawn towards that of all attributes where an attribute was hardly asked for.
"""

from __future__ import annotations

from msp.improve.policies.base import Situation, Standing
from msp.improve.policies.error_shortage import error_shortage

# Candidates that an attribute's own keep rate must outweigh.
_PRIOR_CANDIDATES = 50.0


def error_shortage_yield(situation: Situation) -> dict[str, float]:
    """Weigh each attribute by its error times its shortage times the share that is kept of it."""
    weights = error_shortage(situation)
    rate = situation.keep_rate
    if not rate:
        return weights
    return {name: w * _yield(situation.attributes[name], rate) for name, w in weights.items()}


def _yield(standing: Standing, mean: float) -> float:
    prior = _PRIOR_CANDIDATES
    return (standing.num_kept + prior * mean) / (standing.num_candidates + prior)
