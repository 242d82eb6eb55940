"""The sandbox, from inside: whatever a program tries, it is scored and does no harm."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from msp.errors import ConfigError
from msp.metrics.sandbox import Limits, Outcome, run, run_program
from msp.metrics.sandbox.seccomp import filter_program

QUICK = Limits(seconds=1.0)
# For what ends by itself, however busy the machine is.
PATIENT = Limits(seconds=60.0)
# Writes to every descriptor that it may have, the verdict's among them.
SHOUTING = """
import os
for descriptor in range(64):
    try:
        os.write(descriptor, b"ready\\n" * 1000)
    except OSError:
        pass
"""

NEEDS_LANDLOCK = pytest.mark.skipif(
    run._landlock_version() < run._LEAST_LANDLOCK, reason="this kernel has no Landlock"
)
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="programs are confined by the Linux kernel"
)


@pytest.fixture(params=["landlock", "without"])
def landlock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files may be written in the program's own folder: as here, and as on old kernels."""
    if request.param == "without":
        monkeypatch.setattr(run, "_landlock_version", lambda: 0)
    elif run._landlock_version() < run._LEAST_LANDLOCK:
        pytest.skip("this kernel has no Landlock")
    return request.param == "landlock"


def test_a_program_that_does_what_its_tests_ask_passes() -> None:
    program = "import math\ndef area(r):\n    return math.pi * r ** 2"
    assert run_program(program, ["assert round(area(1), 2) == 3.14", "assert area(0) == 0"]).passed


@pytest.mark.parametrize(
    ("program", "test", "detail"),
    [
        ("def f(x): return x", "assert f(1) == 2", "AssertionError"),
        ("def f(x): return x", "assert g(1) == 2", "NameError"),
        ("def f(:", "assert f(1) == 2", "SyntaxError"),
        ("x = '\0'", "assert x", "SyntaxError"),
        ("raise SystemExit(0)", "assert False", "SystemExit"),
        ("import os; os._exit(0)", "assert False", "ended before its last test"),
        ("import ctypes; ctypes.string_at(0)", "assert False", "SIGSEGV"),
        (SHOUTING, "assert False", "ended before its last test"),
        ("class " + "x" * 200 + "(Exception): pass", "raise " + "x" * 200, "x" * 80),
        ("", "", ""),
    ],
)
def test_a_program_that_does_not_reach_its_end_has_failed(
    program: str, test: str, detail: str
) -> None:
    found = run_program(program, [test], limits=PATIENT)
    assert found == (Outcome("failed", detail) if detail else Outcome("passed"))


# Of each: what must raise PermissionError, whoever is the user.
FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a unix socket": "import socket; socket.socketpair()",
    "a fork": "import os; os.fork()",
    "a subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "a spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "another program": "import os; os.execv('/bin/true', ['true'])",
    "a signal to who started it": "import os; os.kill(os.getppid(), 9)",
    "a signal to everybody": "import os; os.kill(-1, 9)",
    "a session of its own": "import os; os.setsid()",
    "a folder": "import os; os.mkdir('folder')",
    "a link": "import os; os.link('/etc/passwd', 'mine')",
    "a symbolic link": "import os; os.symlink('/tmp', 'out')",
    "rights": "import os; os.chmod('/tmp', 0o777)",
    "an owner": "import os; os.chown('.', 1, 1)",
    "a pipe into memory": "import os; os.memfd_create('x')",
    "a root of its own": "import os; os.chroot('.')",
    "the clock": "import time; time.clock_settime(time.CLOCK_REALTIME, 0.0)",
    "another's priority": "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_it_gets_no_network_no_process_and_no_rights(what: str) -> None:
    assert run_program(FORBIDDEN[what]) == Outcome("failed", "PermissionError")


def test_a_thread_is_refused_too() -> None:
    program = "import threading; threading.Thread(target=print).start()"
    assert run_program(program) == Outcome("failed", "RuntimeError")


def test_ctypes_reaches_no_call_that_python_could_not_make() -> None:
    # clone, fork, vfork, execve, kill, ptrace, seccomp, bpf, io_uring_setup, openat2, pidfd_open,
    # process_vm_writev, mount, unshare, and 32-bit numbers of the x32 ABI.
    calls = [56, 57, 58, 59, 62, 101, 317, 321, 425, 437, 434, 311, 165, 272, 0x40000000 | 57]
    program = f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for number in {calls}:
    assert libc.syscall(number, 17, 0, 0, 0, 0) == -1, number
    assert ctypes.get_errno() == errno.EPERM, number
assert libc.prctl(22, 0, 0, 0, 0) == -1
assert libc.fcntl(0, 8, 1) == -1
"""
    assert run_program(program, limits=PATIENT).passed or os.uname().machine != "x86_64"


def test_a_call_by_the_numbers_of_32_bit_programs_ends_it() -> None:
    # mov eax, 20 (getpid of i386); int 0x80; ret
    program = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    if os.uname().machine != "x86_64":
        pytest.skip("int 0x80 is of x86")
    # The kernel ends it, whether it is built to run 32-bit programs or not.
    assert run_program(program, limits=PATIENT).detail in ("SIGSYS", "SIGSEGV")


def test_nothing_is_written_outside_its_folder(tmp_path: Path, landlock: bool) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    program = f"""
import os, shutil
outside = {str(tmp_path)!r}
attempts = [
    lambda: open(outside + "/new", "w"),
    lambda: open(outside + "/kept", "a"),
    lambda: open(outside + "/kept", "r+"),
    lambda: os.open(outside + "/kept", os.O_RDONLY | os.O_TRUNC),
    lambda: os.open(outside, os.O_TMPFILE | os.O_RDWR),
    lambda: os.truncate(outside + "/kept", 0),
    lambda: os.remove(outside + "/kept"),
    lambda: os.rename(outside + "/kept", outside + "/gone"),
    lambda: os.rename(outside + "/kept", "mine"),
    lambda: os.mkdir(outside + "/folder"),
    lambda: os.rmdir(outside),
    lambda: os.utime(outside + "/kept"),
    lambda: os.setxattr(outside + "/kept", "user.x", b"y"),
    lambda: os.mkfifo("fifo"),
    lambda: open("../job.json", "a"),
    lambda: open("/proc/self/mem", "r+b"),
    lambda: open("/dev/tty", "w"),
]
for attempt in attempts:
    try:
        attempt()
    except (PermissionError, FileNotFoundError, OSError):
        continue
    raise AssertionError(attempt.__code__.co_firstlineno)
"""
    assert run_program(program) == Outcome("passed")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "as it was"


def test_its_own_folder_is_its_own_where_the_kernel_can_tell(landlock: bool) -> None:
    program = """
import os, tempfile
with open("mine", "w") as file:
    file.write("x")
os.rename("mine", "moved")
assert open("moved").read() == "x"
open("moved", "w").close()
os.remove("moved")
assert not os.listdir(".")
"""
    expected = Outcome("passed") if landlock else Outcome("failed", "PermissionError")
    assert run_program(program) == expected


@NEEDS_LANDLOCK
@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "/proc/self/root/etc/passwd", "../job.json", "/tmp"],
)
def test_nothing_is_read_but_python_and_the_system(path: str) -> None:
    program = f"import os\nos.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r})"
    assert run_program(program) == Outcome("failed", "PermissionError")


def test_it_inherits_no_environment_and_no_descriptor_but_its_verdicts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_SECRET", "s")
    program = """
import os
def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
"""
    tests = ["assert 'A_SECRET' not in os.environ", "assert sum(map(is_open, range(1024))) == 4"]
    with socket.socket() as inheritable:
        inheritable.set_inheritable(True)
        assert run_program(program, tests) == Outcome("passed")


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("while True: pass", "timed_out"),
        ("import time; time.sleep(999)", "timed_out"),
        ("while True: print('x' * 10**6)", "timed_out"),
        ("import signal\nfor n in (2, 15, 24): signal.signal(n, 1)\nwhile True: 0", "timed_out"),
        ("while True:\n  try:\n    while True: 0\n  except BaseException: 0", "timed_out"),
        ("kept = bytearray(10**10)", "out_of_memory"),
        ("kept = []\nwhile True: kept.append(' ' * 10**6)", "out_of_memory"),
        ("import mmap\nmmap.mmap(-1, 10**11)", "failed"),
        ("import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "failed"),
        ("files = [open('/dev/null') for _ in range(999)]", "failed"),
    ],
)
def test_time_and_memory_are_limited(program: str, verdict: str) -> None:
    limits = QUICK if verdict == "timed_out" else PATIENT
    assert run_program(program, limits=limits).verdict == verdict


@NEEDS_LANDLOCK
@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').write('x' * 10**6)", "too_large"),
        ("n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').close()", "too_large"),
        ("open('one', 'w').write('x' * 10**8)", "failed"),
    ],
)
def test_the_room_in_its_folder_is_limited(program: str, verdict: str) -> None:
    limits = QUICK if verdict == "timed_out" else PATIENT
    assert run_program(program, limits=limits).verdict == verdict


def test_what_it_leaves_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_program("open('left', 'w').write('x')\nwhile True: pass", limits=QUICK)
    assert not list(tmp_path.iterdir())


def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    code = f"""
import tempfile
tempfile.tempdir = {str(tmp_path)!r}
from msp.metrics.sandbox import Limits, run_program
run_program("import time; time.sleep(600)", limits=Limits(seconds=600))
"""
    starter = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    child: list[int] = []
    while time.monotonic() < deadline and not child:
        listed = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
        child = [int(number) for number in listed]
        time.sleep(0.1)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    while time.monotonic() < deadline and _is_alive(child[0]):
        time.sleep(0.1)
    assert not _is_alive(child[0])


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("writes", [True, False])
def test_every_jump_of_the_filter_lands_inside_it_and_its_last_word_is_no(
    machine: str, writes: bool
) -> None:
    import struct

    code = list(struct.iter_unpack("HBBI", filter_program(machine, writes_files=writes)))
    assert len(code) < 4096
    for place, (operation, yes, no, _) in enumerate(code):
        if operation & 0x07 == 0x05:
            assert max(place + 1 + yes, place + 1 + no) < len(code)
    assert code[-1][0] == 0x06 and code[-1][3] & 0xFFFF0000 == 0x00050000


def test_elsewhere_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ConfigError, match="riscv64, and so are not run"):
        run_program("raise SystemExit")
    monkeypatch.undo()
    monkeypatch.setattr(run, "filter_program", lambda machine, writes_files: b"not a filter")
    with pytest.raises(ConfigError, match="so are not run"):
        run_program("raise SystemExit")
