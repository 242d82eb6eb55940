"""Run methods beside each other on tasks and seeds, and write one table of what they gain.

The same as ``msp compare CONFIG``, as a Ray job's entry point.
"""

from __future__ import annotations

import sys

from msp.cli import app, guarded

if __name__ == "__main__":
    sys.exit(guarded(lambda: app(["compare", *sys.argv[1:]])))
