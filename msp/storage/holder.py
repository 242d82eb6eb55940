"""Which process holds a run: its machine and its start, so that a dead one is known for dead."""

from __future__ import annotations

import json
import os
import re
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Fields of /proc/PID/stat after the program's name, which may hold anything but a last ")".
_STATE, _START_TICKS = 0, 19


@dataclass(frozen=True)
class Holder:
    """Who writes to a run; ``state/holder.json`` is this as JSON.

    Args:
        token: of this one hold; no other has it.
        host: the machine's name, for people.
        machine: tells machines, and containers on one of them, apart.
        pid: the process.
        started: when it started, in the kernel's ticks: a number used again is no life.
        since: when it took the run, ISO 8601, UTC.
        expires: after this it is dead unless it says otherwise, by its own clock.
    """

    token: str
    host: str
    machine: str
    pid: int
    started: int
    since: str
    expires: str

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process that this one would see."""
        return self.machine == _machine()

    @property
    def is_alive_here(self) -> bool:
        """Whether its process runs, where ``is_here``."""
        return self.is_here and _start_ticks(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def renewed(self, seconds: float) -> Holder:
        """Return the same with an expiry ``seconds`` from now."""
        return Holder(**{**asdict(self), "expires": _in(seconds)})

    def to_json(self) -> bytes:
        """Return it as JSON bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def this_process(seconds: float) -> Holder:
    """Return a new hold of this process that expires ``seconds`` from now."""
    pid = os.getpid()
    started = _start_ticks(pid)
    return Holder(
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        machine=_machine(),
        pid=pid,
        started=-1 if started is None else started,
        since=_in(0),
        expires=_in(seconds),
    )


def parse_holder(found: bytes) -> Holder | None:
    """Return the holder of some JSON bytes; None where they are damaged."""
    try:
        return Holder(**json.loads(found))
    except (ValueError, TypeError):
        return None


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _machine() -> str:
    """Return what two processes share exactly if they see each other: boot, container, name."""
    try:
        boot = _BOOT_ID.read_text().strip()
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux: the name must do
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{re.sub(r'[^0-9]', '', processes)}"


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else int(fields[_START_TICKS])
