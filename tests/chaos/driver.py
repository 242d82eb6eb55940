"""The ``msp`` command with a generator that logs its work; the cluster's workers import it, too."""

from __future__ import annotations

from work_log import LoggedGenerator

from msp.cli import main
from msp.distributed import generate

if __name__ == "__main__":
    generate._Generator = LoggedGenerator  # type: ignore[misc]
    main()
