"""Say which cut, quota and weight of a run's candidates make the best student on dev.

The same as ``msp search CONFIG``, as a Ray job's entry point.
"""

from __future__ import annotations

import sys

from msp.cli import app, guarded

if __name__ == "__main__":
    sys.exit(guarded(lambda: app(["search", *sys.argv[1:]])))
