"""Do every stage of a run that is not yet done.

The same as ``msp run CONFIG``, as a Ray job\'s entry point.
"""

from __future__ import annotations

import sys

from msp.cli import app, guarded

if __name__ == "__main__":
    sys.exit(guarded(lambda: app(["run", *sys.argv[1:]])))
