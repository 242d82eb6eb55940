"""Train, measure on dev, generate where it helps most, and train again, round after round.

The same as ``msp improve CONFIG``, as a Ray job's entry point.
"""

from __future__ import annotations

import sys

from msp.cli import app, guarded

if __name__ == "__main__":
    sys.exit(guarded(lambda: app(["improve", *sys.argv[1:]])))
