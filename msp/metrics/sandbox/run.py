"""Runs a program that nobody has read, with its tests, in a process that can do no harm.

What holds, and why:

- No network, no other process, no thread, no signal to anybody: the kernel refuses every
  system call that is not on a short list (seccomp, :mod:`msp.metrics.sandbox.seccomp`), whatever
  the program does to Python: through ``ctypes``, too, it can only make the same calls. There is
  no way back, for root neither.
- No file is written, made, renamed or removed outside the process's own folder, which is deleted
  after it, and none is read but Python's own and the system's libraries (Landlock, from Linux
  6.2 on); only that a file is there, and its size, can be seen. Where the kernel has no Landlock,
  no file can be written anywhere, in the folder neither, but every file that this user may read
  can be read.
- Time, memory, the size of a file and open files have hard limits that cannot be raised; a
  clock outside ends what sleeps, and what fills its folder. Whoever started it may die: it
  dies, too.
- Its environment is empty, what it prints goes nowhere, and a verdict is some bytes that are
  read as data.

What does not hold: the program's tests run in its own process, as those of MBPP do, so one that
sets out to pass them without doing what they ask (an object that equals everything) can. Nothing
is hidden from it by time or load, and a fault of the kernel in a call on the list is not guarded
against; for programs of people who mean harm, take a virtual machine. The folder is looked at ten
times a second, so for a moment it can hold more than its limit.

It needs Linux on x86-64 or 64-bit Arm, and refuses to run anything elsewhere.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from msp.errors import ConfigError
from msp.metrics.sandbox.seccomp import filter_program, is_known

_MIB = 1 << 20
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.1
_START_SECONDS = 60.0
_MAX_VERDICT = 4096
_CREATE_RULESET, _RULESET_VERSION = 444, 1
# The first version of Landlock that knows truncation; before, a file could be emptied.
_LEAST_LANDLOCK = 3
_HANDLED = (1 << 15) - 1
_SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_READY = b"ready\n"
_CUT_SHORT = "ended before its last test"


@dataclass(frozen=True)
class Limits:
    """What one program may use.

    Args:
        seconds: by the clock, and of processor time.
        memory_bytes: of address space; Python itself takes about 30 MiB.
        folder_bytes: in its folder, all files together, and of one file.
        num_files: in it; it can have no folders.
        open_files: at once.
    """

    seconds: float = 10.0
    memory_bytes: int = 512 * _MIB
    folder_bytes: int = 16 * _MIB
    num_files: int = 1000
    open_files: int = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program and its tests ended.

    Args:
        verdict: passed; failed (an error, a wrong answer, or an end before the last test);
            timed_out; out_of_memory; or too_large, for its folder.
        detail: what stopped it: the name of an exception, or of a signal; empty where it passed.
    """

    verdict: Literal["passed", "failed", "timed_out", "out_of_memory", "too_large"]
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether every test ran to its end."""
        return self.verdict == "passed"


DEFAULT_LIMITS = Limits()


def check_sandbox() -> None:
    """Pass where programs can be confined.

    Raises:
        ConfigError: this machine cannot; nothing must be run on it.
    """
    machine = platform.machine()
    if sys.platform != "linux" or not is_known(machine):
        raise ConfigError(
            f"generated programs cannot be confined on {sys.platform} {machine}, and so are not "
            "run; score such a task on Linux, on x86-64 or 64-bit Arm."
        )


def run_program(
    program: str, tests: Sequence[str] = (), *, limits: Limits = DEFAULT_LIMITS
) -> Outcome:
    """Run a Python program and, after it, its tests, and return how that ended.

    Whatever the program does, this returns, a little after ``limits.seconds`` of its own at the
    latest.

    Args:
        program: its source.
        tests: statements in the program's names, such as assertions, in order.
        limits: what it may use.

    Raises:
        ConfigError: this machine cannot confine it; it was not run.
    """
    check_sandbox()
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="msp-sandbox-") as outer:
        # The verdict lies beside the program's folder, out of its reach but for one descriptor.
        folder, verdict, job = (Path(outer) / name for name in ("work", "verdict", "job.json"))
        folder.mkdir()
        sources = [_encodable(source) for source in (program, *tests)]
        job.write_text(json.dumps(_job(sources, folder, token, limits)))
        with verdict.open("w+b") as said, job.open("rb") as asked:
            ended = _run(said.fileno(), asked.fileno(), folder, limits)
            said.seek(0)
            return _outcome(said.read(_MAX_VERDICT), ended, token)


def _encodable(source: str) -> str:
    return source.encode("utf-8", "replace").decode()


def _job(sources: list[str], folder: Path, token: str, limits: Limits) -> dict[str, object]:
    has_landlock = _landlock_version() >= _LEAST_LANDLOCK
    cpu_seconds = int(limits.seconds) + 1
    return {
        "sources": sources,
        "token": token,
        "parent": os.getpid(),
        "folder": str(folder),
        "readable": [*_python_paths(), *_SYSTEM, *_DEVICES],
        "handled_access": _HANDLED if has_landlock else 0,
        "filter": filter_program(platform.machine(), writes_files=has_landlock).hex(),
        "limits": {
            "address_space": limits.memory_bytes,
            "cpu_seconds": cpu_seconds,
            "file_bytes": limits.folder_bytes,
            "open_files": limits.open_files,
            "processes": 0,
            "core_bytes": 0,
        },
    }


@cache
def _landlock_version() -> int:
    """Return the kernel's version of Landlock; 0 or less where it has none."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    return int(call(_CREATE_RULESET, None, ctypes.c_size_t(0), _RULESET_VERSION))


def _python_paths() -> list[str]:
    """Return where this Python has its library: the one beside which nothing else is needed."""
    found = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
    libraries = sysconfig.get_config_var("LIBDIR")
    return [found["stdlib"], found["platstdlib"], *([libraries] if libraries else [])]


def _run(verdict: int, job: int, folder: Path, limits: Limits) -> int | str:
    """Return the process's exit status once it has ended, or why it was ended."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name("child.py")), str(verdict)],
        stdin=job,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=folder,
        pass_fds=(verdict,),
        start_new_session=True,
    )
    try:
        return _awaited(process, verdict, folder, limits)
    finally:
        # A process that may not fork is its whole group; the group is killed all the same.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _awaited(
    process: subprocess.Popen[bytes], verdict: int, folder: Path, limits: Limits
) -> int | str:
    # Until it is confined, its time is Python's own start, which a busy machine draws out.
    deadline = time.monotonic() + limits.seconds + _START_SECONDS
    is_ready, look_at = False, time.monotonic() + _LOOK_SECONDS
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if not is_ready and os.fstat(verdict).st_size:
            is_ready, deadline = True, now + limits.seconds
        if now > deadline:
            return "timed_out"
        if now > look_at:
            look_at = now + _LOOK_SECONDS
            if _is_too_large(folder, limits):
                return "too_large"


def _is_too_large(folder: Path, limits: Limits) -> bool:
    num_bytes = num_files = 0
    with os.scandir(folder) as files:
        for file in files:
            with suppress(FileNotFoundError):  # gone since
                num_bytes += file.stat(follow_symlinks=False).st_size
            num_files += 1
            if num_files > limits.num_files or num_bytes > limits.folder_bytes:
                return True
    return False


def _outcome(said: bytes, ended: int | str, token: str) -> Outcome:
    if not said.startswith(_READY):
        raise ConfigError(
            "generated programs cannot be confined here, and so are not run: the kernel refused "
            "seccomp or Landlock, or Python does not start within the limits; run where "
            "containers allow prctl(PR_SET_SECCOMP)."
        )
    if ended in ("timed_out", -signal.SIGXCPU):
        return Outcome("timed_out")
    if ended == "too_large":
        return Outcome("too_large")
    verdict = said.removeprefix(_READY).decode("utf-8", "replace")
    if verdict == token:
        return Outcome("passed")
    if verdict == "MemoryError":
        return Outcome("out_of_memory", verdict)
    if isinstance(ended, int) and ended < 0:
        return Outcome("failed", signal.Signals(-ended).name)
    return Outcome("failed", verdict[:80] if verdict.isidentifier() else _CUT_SHORT)
