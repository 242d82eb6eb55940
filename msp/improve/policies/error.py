"""By error alone: what the student gets wrong, however many examples it has of it."""

from __future__ import annotations

from msp.improve.policies.base import Situation


def error(situation: Situation) -> dict[str, float]:
    """Weigh each attribute by its error."""
    return {name: standing.error for name, standing in situation.attributes.items()}
