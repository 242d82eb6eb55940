"""How each kind of fault is done to a run that is under way."""

from __future__ import annotations

import random
from contextlib import suppress

import psutil
from faulty_s3 import FaultyS3
from schedule import Fault
from stage import Driver, Stage

# Larger than what notes need and smaller than any shard, so that commits fail as on a full disk.
# A real full disk needs a mount, which needs rights; a limit on file sizes needs none and meets
# the same code (the error is EFBIG in place of ENOSPC; tests/storage/test_local.py has both).
_FULL_BYTES = 1024
_WORKERS = "ray::"


class Injector:
    """Does faults to a driver and what it runs on.

    Args:
        stage: the cluster.
        s3: the proxy; None where the run writes to a folder.
        rng: chooses among several victims.
    """

    def __init__(self, stage: Stage, s3: FaultyS3 | None, rng: random.Random) -> None:
        self._stage, self._s3, self._rng = stage, s3, rng

    def inject(self, fault: Fault, driver: Driver) -> bool:
        """Do it; return False where its victim is not there just now."""
        if fault.kind.startswith("s3") and self._s3 is not None:
            self._s3.arm(fault.kind, fault.burst, method="GET" if "read" in fault.kind else "")
        elif fault.kind == "kill actor":
            return self._stage.kill_worker("LoggedGenerator", self._rng)
        elif fault.kind == "kill scorer":
            return self._stage.kill_worker("_Judge", self._rng)
        elif fault.kind == "kill node":
            self._stage.kill_node(self._rng)
        elif fault.kind == "kill driver":
            driver.kill()
        elif fault.kind == "kill head":
            # A job's driver lives on the head, as under KubeRay.
            driver.kill()
            self._stage.kill()
        else:
            self._limit_files(driver, _FULL_BYTES)
        return True

    def heal(self, driver: Driver) -> None:
        """Make room on the disk again, as whoever reads the error would."""
        self._limit_files(driver, None)

    def _limit_files(self, driver: Driver, num_bytes: int | None) -> None:
        processes = self._stage.workers(_WORKERS)
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(driver.pid))
        for process in processes:
            with suppress(psutil.Error):
                _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
                soft = hard if num_bytes is None else num_bytes
                process.rlimit(psutil.RLIMIT_FSIZE, (soft, hard))
