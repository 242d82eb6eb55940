"""What a run is played on: a Ray cluster of a head and two nodes, and processes to be killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil

HERE = Path(__file__).parent
DRIVER, CLUSTER = HERE / "driver.py", HERE / "cluster_process.py"
# In the environment of every process of the stage; tests look for them where they must not be.
PLANTED = {
    "AWS_ACCESS_KEY_ID": "PLANTEDKEYIDOFNOACCOUNT",
    "AWS_SECRET_ACCESS_KEY": "planted/secret+access/key+of+no+account",
    "AWS_SESSION_TOKEN": "planted-session-token-of-no-account",
    "HF_TOKEN": "hf_plantedTokenOfNoAccount",
}
_NUM_TRIES = 3


class Stage:
    """A cluster that is there whenever it is asked for, whatever was done to it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._told: list[str] = []

    @property
    def address(self) -> str:
        """Where the cluster is; it is started if there is none."""
        self._running()
        return self._told[0]

    @property
    def session_folder(self) -> Path:
        """Where the cluster's processes log."""
        self._running()
        return Path(self._told[1])

    def job_table(self) -> str:
        """Return what the cluster knows of its jobs."""
        return str(self._ask("jobs"))

    def workers(self, name: str) -> list[psutil.Process]:
        """Return the cluster's worker processes whose title holds ``name``."""
        found = []
        for process in psutil.Process(self._running().pid).children(recursive=True):
            with suppress(psutil.Error):
                if name in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def kill_worker(self, name: str, rng: random.Random) -> bool:
        """Kill one of these workers; return whether there was one."""
        found = self.workers(name)
        if found:
            with suppress(psutil.NoSuchProcess):
                rng.choice(found).kill()
        return bool(found)

    def kill_node(self, rng: random.Random) -> None:
        """Kill a node with all that runs on it; another takes its place."""
        self._ask(f"kill-node {rng.randrange(1 << 16)}")

    def kill(self) -> None:
        """Kill the head and every node at once; the next that asks gets a new cluster."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            for one in [*parent.children(recursive=True), parent]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        process.communicate()

    def _running(self) -> subprocess.Popen[str]:
        for _ in range(_NUM_TRIES):
            if self._process is not None and self._process.poll() is None:
                return self._process
            self._process = subprocess.Popen(
                [sys.executable, str(CLUSTER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._told = self._answer(self._process) or self._told
        raise AssertionError("Ray starts no cluster on this machine")

    def _ask(self, command: str) -> object:
        process = self._running()
        assert process.stdin is not None
        print(command, file=process.stdin, flush=True)
        return self._answer(process)

    def _answer(self, process: subprocess.Popen[str]) -> list[str]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:  # it has ended
            process.wait()
            return []
        answer: list[str] = json.loads(line)
        return answer


class Driver:
    """The ``msp`` command as a process, with what it says."""

    def __init__(self, config: Path, address: str, *, command: str = "generate") -> None:
        words = [sys.executable, str(DRIVER), command, str(config)]
        words += ["--set", f"cluster.address={address}"]
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        # Through a pipe, since a process whose files may not grow still has to speak.
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._said.extend(self._process.stdout)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it as a lost machine ends it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def wait(self) -> int:
        """Return the exit status, once it has ended."""
        return self._process.wait(600)

    def said(self) -> str:
        """Return its output; it has ended."""
        self._reader.join(5)
        return "".join(self._said)
