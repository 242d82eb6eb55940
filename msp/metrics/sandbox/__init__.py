"""Programs that nobody has read, run with their tests where they can do no harm."""

from __future__ import annotations

from msp.metrics.sandbox.run import Limits, Outcome, run_program

__all__ = ["Limits", "Outcome", "run_program"]
