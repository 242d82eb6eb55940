"""The ``msp`` command with a generator that takes its time; the workers import it, too."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import ray

from msp.cli import main
from msp.distributed import generate

# So long that nodes have time to come while there is work.
SECONDS_PER_SHARD = 1.5
# A file, set for the whole cluster, whose workers do not see a driver's environment.
LOG = "MSP_SHARD_LOG"


class SlowGenerator(generate._Generator):
    """The run's generator, as slow as one with a large LM."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return what the generator returns, having noted when and on which node it began."""
        node = ray.get_runtime_context().get_node_id()
        with Path(os.environ[LOG]).open("a") as log:
            for shard in table["shard"].to_pylist():
                log.write(f"{time.time()} {node} {shard}\n")
        time.sleep(SECONDS_PER_SHARD)
        return super().__call__(table)


if __name__ == "__main__":
    from slow_driver import SlowGenerator as Importable

    generate._Generator = Importable  # type: ignore[misc]
    main()
