"""The list of system calls that a confined program may make, as the kernel's filter wants it.

It names what is allowed, so what a later kernel adds is refused. Numbers are of
``asm/unistd_64.h`` (x86-64) and ``asm-generic/unistd.h`` (64-bit Arm); the
instructions are classic BPF (Linux, ``Documentation/userspace-api/seccomp_filter.rst``).
"""

from __future__ import annotations

import errno
import struct

# What Python needs once it runs, on one thread, with nobody to talk to. Name -> numbers on
# x86-64 and on 64-bit Arm; None where a machine has no such call.
_PLAIN: dict[str, tuple[int | None, int | None]] = {
    "access": (21, None),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fstat": (5, 80),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pread64": (17, 67),
    "pselect6": (270, 72),
    "pwrite64": (18, 68),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "select": (23, None),
    "set_robust_list": (273, 99),
    "sigaltstack": (131, 132),
    "stat": (4, None),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "time": (201, None),
    "times": (100, 153),
    "uname": (63, 160),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "write": (1, 64),
    "writev": (20, 66),
}
_NAMES_CHANGED = ("rename", "renameat", "renameat2", "unlink", "unlinkat")
_FCNTL, _IOCTL, _OPEN, _OPENAT, _PRLIMIT = (72, 25), (16, 29), (2, None), (257, 56), (302, 261)
# Duplicate a descriptor, read and set its flags; not F_SETOWN, which aims signals at others.
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
# O_ACCMODE, O_CREAT, O_TRUNC, O_APPEND: any of them is writing.
_WRITES = 0o3 | 0o100 | 0o1000 | 0o2000

# AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64: numbers mean other calls on any other.
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _IS, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_MAX_JUMP = 255

Instruction = tuple[int, int, int, int]


def is_known(machine: str) -> bool:
    """Tell whether there is a filter for a machine, as :func:`platform.machine` names it."""
    return machine in _ARCHITECTURES


def filter_program(machine: str, *, writes_files: bool) -> bytes:
    """Return the filter, as an array of ``struct sock_filter``.

    What is not allowed returns an error to the program that asked for it; a call by
    another architecture's numbers ends it.

    Args:
        machine: one that :func:`is_known`.
        writes_files: whether files may be opened for writing, made, renamed and removed; where,
            is for the file system's own rules to say.
    """
    column, architecture = _ARCHITECTURES[machine]
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IS, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    code += _when(_FCNTL[column], _one_of(1, _FCNTL_COMMANDS))
    # isatty asks this way; Python takes this answer for "no terminal" and goes on.
    code += _when(_IOCTL[column], [(_RETURN, 0, 0, _ERRNO | errno.ENOTTY)])
    code += _when(_PRLIMIT[column], _is_null(2))
    for call, flags_argument in ((_OPEN, 1), (_OPENAT, 2)):
        allowed = [(_RETURN, 0, 0, _ALLOW)] if writes_files else _without(flags_argument, _WRITES)
        code += _when(call[column], allowed)
    for name, numbers in _PLAIN.items():
        if writes_files or name not in _NAMES_CHANGED:
            code += _when(numbers[column], [(_RETURN, 0, 0, _ALLOW)])
    code.append(_refused())
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _refused() -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | errno.EPERM)


def _when(number: int | None, answer: list[Instruction]) -> list[Instruction]:
    """Return code that gives the answer to one call, and goes on after it for any other."""
    assert len(answer) <= _MAX_JUMP
    return [] if number is None else [(_IS, 0, len(answer), number), *answer]


def _one_of(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Return code that allows a call whose argument (its low half: an int) is one of the values."""
    tests = [(_IS, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_load(argument), *tests, _refused(), (_RETURN, 0, 0, _ALLOW)]


def _is_null(argument: int) -> list[Instruction]:
    """Return code that allows a call whose pointer is null, both halves of it."""
    return [
        _load(argument),
        (_IS, 1, 0, 0),
        _refused(),
        _load(argument, high=True),
        (_IS, 1, 0, 0),
        _refused(),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _without(argument: int, bits: int) -> list[Instruction]:
    """Return code that allows a call whose argument has none of the bits."""
    return [_load(argument), (_ANY_BIT, 0, 1, bits), _refused(), (_RETURN, 0, 0, _ALLOW)]


def _load(argument: int, *, high: bool = False) -> Instruction:
    # Both machines are little-endian, so the low half comes first.
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument + 4 * high)
