"""How long each stage of a run took, over all its starts, kept in the store as it goes.

One small object a stage, so that whoever looks later finds the times of what
another machine did.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore

STAGES = ("start", "tune", "generate", "publish", "evaluate")
"""In the order of a run; ``start`` is the command's own: imports, checks, Ray. The students'
trainings keep their own time."""


@contextmanager
def timed(store: ObjectStore, stage: str) -> Iterator[None]:
    """Add the block's wall time to a stage, also where it ends in an error."""
    started = time.monotonic()
    try:
        yield
    finally:
        add_stage_seconds(store, stage, time.monotonic() - started)


def add_stage_seconds(store: ObjectStore, stage: str, seconds: float) -> None:
    """Add wall time to a stage of the run."""
    assert stage in STAGES, stage
    total = read_stage_seconds(store).get(stage, 0.0) + seconds
    key = layout.stage_time_key(stage)
    store.write(key, json.dumps({"wall_seconds": round(total, 3)}).encode())


def read_stage_seconds(store: ObjectStore) -> dict[str, float]:
    """Return stage -> wall seconds, of the stages that were ever at work."""
    keys = {stage: layout.stage_time_key(stage) for stage in STAGES}
    return {
        stage: float(read_json(store, key)["wall_seconds"])
        for stage, key in keys.items()
        if store.exists(key)
    }


def process_seconds() -> float:
    """Return how long ago this process started; 0 where the system does not tell."""
    stat = Path("/proc/self/stat")
    if not stat.is_file():
        return 0.0
    # The 22nd field, counted after the name in brackets, which may hold blanks.
    ticks = float(stat.read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
