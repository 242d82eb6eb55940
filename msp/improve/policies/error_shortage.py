"""By error times shortage: what the student gets wrong and has few examples of.

An attribute that stays wrong with many examples does not lack examples, so its
share falls as they come.
"""

from __future__ import annotations

from msp.improve.policies.base import Situation


def error_shortage(situation: Situation) -> dict[str, float]:
    """Weigh each attribute by its error times its shortage."""
    return {
        name: standing.error * situation.shortage(name)
        for name, standing in situation.attributes.items()
    }
