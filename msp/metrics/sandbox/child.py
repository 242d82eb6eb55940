"""What a confined process runs: give everything up, then run the program that it was handed.

Started as ``python -I -S child.py`` with a job on standard input, so it imports
nothing but the standard library. It says ``ready`` on its verdict's descriptor once
nothing can be taken back, and the job's token once all tests have passed.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on every machine
_PATH_BENEATH = 1
_READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
_WRITE_FILE, _REMOVE_FILE, _MAKE_FILE, _TRUNCATE = (1 << n for n in (1, 5, 8, 14))
# No folders: a deep tree of them is work for whoever removes it.
_OWN = _READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE
_FILE_ONLY = 1 << 0 | 1 << 1 | 1 << 2 | _TRUNCATE
_LIMITS = {
    "address_space": resource.RLIMIT_AS,
    "cpu_seconds": resource.RLIMIT_CPU,
    "file_bytes": resource.RLIMIT_FSIZE,
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "core_bytes": resource.RLIMIT_CORE,
}


def main() -> None:
    """Confine this process and run the job."""
    job = json.load(sys.stdin)
    verdict = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    _die_with(libc, job["parent"])
    for name, value in job["limits"].items():
        resource.setrlimit(_LIMITS[name], (value, value))
    _called(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if job["handled_access"]:
        _restrict_files(libc, job)
    _filter_calls(libc, bytes.fromhex(job["filter"]))
    os.write(verdict, b"ready\n")
    os.write(verdict, _run(job))
    # At once: what the program left to be done at exit is not asked for.
    os._exit(0)


def _run(job: dict[str, Any]) -> bytes:
    """Return the token where the program and all its tests run to their end, or what stopped it."""
    no_memory = b"MemoryError"
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for source in job["sources"]:
            exec(compile(source, "<program>", "exec"), names)
    except MemoryError:
        return no_memory
    except BaseException as error:
        return type(error).__name__[:80].encode("utf-8", "replace")
    token: str = job["token"]
    return token.encode()


def _die_with(libc: Any, parent: int) -> None:
    _called(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


def _restrict_files(libc: Any, job: dict[str, Any]) -> None:
    """Leave the files under some folders to be read, and those under one to be written, too."""
    handled = job["handled_access"]
    attributes = struct.pack("=Q", handled)
    ruleset = _called(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    for path, access in [(job["folder"], _OWN), *((path, _READ) for path in job["readable"])]:
        if not os.path.exists(path):
            continue
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        granted = access & handled & (~0 if os.path.isdir(path) else _FILE_ONLY)
        rule = struct.pack("=Qi", granted, descriptor)
        _called(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
        os.close(descriptor)
    _called(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _filter_calls(libc: Any, instructions: bytes) -> None:
    held = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(held))
    _called(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0))


def _called(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    main()
