"""A generator that notes every shard it begins, so that work done twice is counted, not guessed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from msp.config import RunConfig
from msp.distributed import generate

# Set for the whole cluster, whose workers do not see a driver's environment.
FOLDER = "MSP_CHAOS_WORK_LOGS"


class LoggedGenerator(generate._Generator):
    """The run's generator, with a line in a file for each shard before it is generated."""

    def __init__(self, config: RunConfig, *others: Any) -> None:
        super().__init__(config, *others)
        self._log = log_of(config.output_uri)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return what the generator returns."""
        lines = "".join(f"{row}\n" for row in table.to_pylist()).encode()
        descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, lines)
        finally:
            os.close(descriptor)
        return super().__call__(table)


def log_of(output_uri: str) -> Path:
    """Return the file of a run's log."""
    return Path(os.environ[FOLDER]) / f"{hashlib.sha256(output_uri.encode()).hexdigest()}.log"


def begun(output_uri: str) -> Counter[str]:
    """Return how often each shard of a run was begun."""
    path = log_of(output_uri)
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()
