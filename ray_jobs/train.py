"""Train the students of a run.

The same as ``msp train CONFIG``, as a Ray job\'s entry point.
"""

from __future__ import annotations

import sys

from msp.cli import app, guarded

if __name__ == "__main__":
    sys.exit(guarded(lambda: app(["train", *sys.argv[1:]])))
