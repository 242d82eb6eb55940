"""Where a round spends its generation: each policy is one function, chosen by name.

A policy gives every attribute a weight, from what was measured and made so far;
a combination is then asked for as often as it is common and its attributes weigh.
"""

from __future__ import annotations

from collections.abc import Callable

from msp.improve.policies.base import Situation, Standing
from msp.improve.policies.error import error
from msp.improve.policies.error_shortage import error_shortage
from msp.improve.policies.error_shortage_yield import error_shortage_yield
from msp.improve.policies.uniform import uniform

__all__ = ["POLICIES", "Policy", "Situation", "Standing"]

Policy = Callable[[Situation], dict[str, float]]

# policy -> attribute's weight by attribute; a new one is a file and a line here.
POLICIES: dict[str, Policy] = {
    "error_shortage": error_shortage,
    "error_shortage_yield": error_shortage_yield,
    "error": error,
    "uniform": uniform,
}
