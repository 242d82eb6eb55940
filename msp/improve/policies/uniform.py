"""Every attribute alike, whatever was measured: what the others are compared with."""

from __future__ import annotations

from msp.improve.policies.base import Situation


def uniform(situation: Situation) -> dict[str, float]:
    """Give all attributes the same weight."""
    return dict.fromkeys(situation.attributes, 1.0)
