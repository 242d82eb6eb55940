"""What a run costs around its work: a second actor, a run that is done, the command's start.

::

    OMP_NUM_THREADS=1 python tests/bench/bench_run.py

The whole runs are the quickstart's with fewer epochs and units, so that the
first one takes a minute; a longer first run makes the second one's share smaller.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pyarrow as pa
from measuring import report

CONFIG = Path(__file__).parents[2] / "ray_jobs" / "configs" / "quickstart.yaml"
SMALL = ("tune.num_epochs=2", "generate.novel_units_per_seed_example=1", "student.num_seeds=1")
SHARDS_PER_ACTOR = 4
NUM_ACTORS = 2


def msp(*words: str) -> float:
    """Return the wall time of a command in seconds."""
    started = time.perf_counter()
    command = [str(Path(sys.executable).parent / "msp"), *words]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def measure_start(runs: int) -> None:
    """Print how long ``msp --help`` takes, beside an interpreter that does nothing."""
    bare = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", ""], check=True)
        bare.append(time.perf_counter() - started)
    report(
        "msp --help beside a bare interpreter",
        ours=[msp("--help") for _ in range(runs)],
        theirs=bare,
        unit="s",
    )


def measure_again(runs: int) -> None:
    """Print how long ``msp run`` takes on a finished output, beside the first time."""
    with tempfile.TemporaryDirectory(prefix="msp-bench-") as folder:
        changes = [word for item in SMALL for word in ("--set", item)]
        words = ["run", str(CONFIG), "--set", f"output_uri={folder}", *changes]
        first = msp(*words)
        report(
            "msp run on a finished output beside the first time",
            ours=[msp(*words) for _ in range(runs)],
            theirs=[first],
            unit="s",
            first_run_with=list(SMALL),
        )


def measure_actors(runs: int) -> None:
    """Print the candidates a second of two one-thread generators beside one's."""
    with tempfile.TemporaryDirectory(prefix="msp-bench-") as folder:
        msp("tune", str(CONFIG), "--set", f"output_uri={folder}", "--set", "tune.num_epochs=0")
        one, two = ([_rate(folder, actors) for _ in range(runs)] for actors in (1, NUM_ACTORS))
    report("two one-thread generators beside one", ours=two, theirs=one, unit="candidates/s")


def _rate(folder: str, num_actors: int) -> float:
    """Return what so many generators, each in its process, write a second once all are loaded."""
    spawn = multiprocessing.get_context("spawn")
    barrier, made = spawn.Barrier(num_actors + 1), spawn.Queue()
    shards = [range(n, n + SHARDS_PER_ACTOR * num_actors, num_actors) for n in range(num_actors)]
    actors = [
        spawn.Process(target=_generate, args=(folder, list(part), barrier, made)) for part in shards
    ]
    for actor in actors:
        actor.start()
    barrier.wait()
    started = time.perf_counter()
    num_candidates = sum(made.get() for _ in actors)
    seconds = time.perf_counter() - started
    for actor in actors:
        actor.join()
    return num_candidates / seconds


def _generate(folder: str, shards: Sequence[int], barrier: Barrier, made: Any) -> None:
    """Be one generator: load, warm up with another's shard, wait for the rest, and write."""
    from msp.config_file import load_config
    from msp.distributed.shards import ShardGenerator
    from msp.methods import RoundPlan
    from msp.tasks import load_task

    config = load_config(CONFIG, [f"output_uri={folder}"])
    task = load_task(config.task, seed=config.seed)
    generator = ShardGenerator(config, task, RoundPlan(0, 0), num_threads=1)
    generator(pa.table({"shard": [shards[-1] + NUM_ACTORS]}))
    barrier.wait()
    table = generator(pa.table({"shard": shards}))
    made.put(sum(len(texts) for units in table["units"].to_pylist() for texts in units))


def main() -> None:
    """Measure every case and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    measure_start(options.runs)
    measure_again(options.runs)
    measure_actors(options.runs)


if __name__ == "__main__":
    main()
