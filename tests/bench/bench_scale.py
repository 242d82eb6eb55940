"""Memory and processor time of runs of very different size: what must stay flat.

    python tests/bench/bench_scale.py 100000 1000000

Each size is one ``msp generate`` of the scripted engine in a fresh process
with a fresh local Ray. Memory is the unique set size of each process, sampled
every second; processor time is that of all its processes, so that other work
on the machine hardly shows. One JSON line a size.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

SEED_EXAMPLES = 177  # of the sample task, all of which can be asked for
CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate:
  engine: scripted
  units_per_seed_example: {repeats}
  novel_units_per_seed_example: 0
  units_per_shard: 512
denoise: {{frequency_weight: 1, distance_weight: 0, disagreement_weight: 0, max_noise_score: 1,
  duplicates: none}}
"""


class Watch:
    """The memory and processor time of a process and of all that it starts."""

    def __init__(self, pid: int) -> None:
        self._driver = psutil.Process(pid)
        self.peak: dict[str, int] = defaultdict(int)
        self.driver: list[tuple[float, int]] = []
        self._cpu: dict[int, float] = {}
        self._started = time.monotonic()

    def sample(self) -> None:
        """Take one look at every process."""
        for process in [self._driver, *self._driver.children(recursive=True)]:
            try:
                memory = process.memory_full_info().uss
                times = process.cpu_times()
                name = "driver" if process.pid == self._driver.pid else _role(process)
            except psutil.NoSuchProcess:
                continue
            self.peak[name] = max(self.peak[name], memory)
            self._cpu[process.pid] = times.user + times.system
            if name == "driver":
                self.driver.append((time.monotonic() - self._started, memory))

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all processes that were seen, living or gone."""
        return sum(self._cpu.values())


def _role(process: psutil.Process) -> str:
    words = process.cmdline()
    return words[0].split("/")[-1].split("(")[0] if words else process.name()


def measure(num_units: int) -> dict[str, object]:
    """Run one size and return its figures."""
    repeats = -(-num_units // SEED_EXAMPLES)
    with tempfile.TemporaryDirectory(prefix="msp-scale-") as folder:
        config = Path(folder) / "scale.yaml"
        config.write_text(CONFIG.format(output=Path(folder) / "run", repeats=repeats))
        started = time.monotonic()
        run = subprocess.Popen(
            [sys.executable, "-m", "msp.cli", "generate", str(config)], stdout=subprocess.PIPE
        )
        watch = Watch(run.pid)
        while run.poll() is None:
            watch.sample()
            time.sleep(1.0)
        assert run.returncode == 0 and run.stdout is not None
        headline = json.loads(run.stdout.read().splitlines()[-1])
        wall = time.monotonic() - started
    units = repeats * SEED_EXAMPLES
    return {
        "case": "scale",
        "units": units,
        "synthetic": headline["num_synthetic"],
        "wall_seconds": round(wall, 1),
        "cpu_ms_per_unit": round(1000 * watch.cpu_seconds / units, 3),
        "driver_peak_mb": round(watch.peak["driver"] / 2**20, 1),
        "peak_mb_by_process": {
            name: round(peak / 2**20, 1) for name, peak in sorted(watch.peak.items())
        },
    }


def main() -> None:
    """Measure the sizes named on the command line."""
    for size in map(int, sys.argv[1:] or ["20000", "200000"]):
        print(json.dumps(measure(size)), flush=True)


if __name__ == "__main__":
    main()
