"""What a worker does for one cell of a comparison: ``msp run`` as a process of its own.

A process each, since a run is a driver: it has its lease, its signals and its
Ray job, and what one leaves behind in memory cannot touch another. It dies with
the worker that started it, whatever ends that one.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import msp
from msp.errors import StorageError
from msp.storage import layout
from msp.storage.holder import parse_holder
from msp.storage.store import ObjectStore

_LOG_SECONDS = 10.0
_POLL_SECONDS = 0.2
# A cell whose comparison was killed dies with its worker, which notices in a few seconds.
_LEFT_SECONDS = 30.0
_MAX_ERROR = 600
_OURS = "msp: "
# What Ray writes of its own processes, in colour: (raylet) and the like.
_RAYS = re.compile(r"(\x1b\[\d+m)?\(\w")
_PR_SET_PDEATHSIG = 1
# Loaded here, since between fork and exec nothing may be.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class CellWork:
    """A cell that is to be run.

    Args:
        config: the run's, as JSON values, with the address of this cluster.
        key: of the cell in the comparison's store.
        store: the comparison's.
        environment: what its process needs beside the worker's own.
    """

    config: dict[str, Any]
    key: str
    store: ObjectStore
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def log_key(self) -> str:
        """Where what its process says is kept: beside the cell."""
        return log_key(self.key)


def log_key(cell_key: str) -> str:
    """Return where a cell's log is, below the comparison's output."""
    return f"{cell_key}.log"


def run_cell(work: CellWork) -> str:
    """Return what the run said last if it failed, once its process is over; empty if it did not."""
    _await_end_of_left(work)
    with tempfile.TemporaryDirectory(prefix="msp-cell-") as name:
        config, log = Path(name) / "cell.yaml", Path(name) / "log"
        config.write_text(json.dumps(work.config))  # JSON is YAML
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "msp", "run", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=_environment(work),
                preexec_fn=partial(_die_with_parent, os.getpid()),
            )
        try:
            status = _follow(process, log, work)
        finally:
            process.kill()
            process.wait()
        _keep_log(log, work)
        return "" if status == 0 else _last_error(log, status)


def _await_end_of_left(work: CellWork) -> None:
    """Return once a process of a killed comparison, which may just be ending, has let go."""
    key = f"{work.key}/{layout.HOLDER_JSON}"
    deadline = time.monotonic() + _LEFT_SECONDS
    while time.monotonic() < deadline:
        try:
            holder = parse_holder(work.store.read(key)) if work.store.exists(key) else None
        except StorageError:  # released since
            return
        if holder is None or not holder.is_alive_here:
            return
        time.sleep(_POLL_SECONDS)


def _environment(work: CellWork) -> dict[str, str]:
    # This very package, wherever the worker has it from.
    package = str(Path(msp.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {**os.environ, **work.environment, "PYTHONPATH": path}


def _die_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent, which may be gone already."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _follow(process: subprocess.Popen[bytes], log: Path, work: CellWork) -> int:
    """Return the exit status; meanwhile the store gets the log now and then."""
    kept, kept_at = 0, time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_SECONDS)
        size = log.stat().st_size
        if size > kept and time.monotonic() - kept_at > _LOG_SECONDS:
            _keep_log(log, work)
            kept, kept_at = size, time.monotonic()


def _keep_log(log: Path, work: CellWork) -> None:
    with suppress(StorageError):  # a log is no reason for a cell to fail
        work.store.write(work.log_key, log.read_bytes())


def _last_error(log: Path, status: int) -> str:
    """Return the command's own last message, or else its last line, with how it ended."""
    lines = log.read_text("utf-8", "replace").rstrip().splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(_OURS)]
    last = lines[starts[-1] :] if starts else lines[-1:]
    own = takewhile(lambda line: not starts or not _RAYS.match(line), last)
    said = " ".join(line.strip() for line in own).removeprefix(_OURS)
    ended = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
    shown = said if len(said) <= _MAX_ERROR else f"{said[:_MAX_ERROR]}..."
    return f"{shown} ({ended})".strip()
