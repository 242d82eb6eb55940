"""``msp submit`` against a real Ray head with its dashboard, where every port asks for a token."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from msp.distributed.submit import check_upload
from msp.errors import ConfigError
from msp.status import run_status

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, novel_units_per_seed_example: 0}}
denoise: {{frequency_weight: 1.0, distance_weight: 0.0, disagreement_weight: 0.0}}
student: {{num_seeds: 1, num_steps: 5}}
metrics: {{max_texts: 0}}
cluster: {{dollars_per_head_hour: 36.0}}
"""


@dataclass(frozen=True)
class Head:
    """A running head, and the environment of those who may talk to it."""

    url: str
    metrics_port: int
    env: dict[str, str]

    def submit(self, config: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "msp.cli", "submit", config.name, "--address", self.url]
        return subprocess.Popen(
            [*command, *options],
            cwd=config.parent,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


class Scraped(threading.Thread):
    """What a Prometheus that scrapes the head once a second sees of this project."""

    def __init__(self, head: Head) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{head.metrics_port}/metrics"
        self._names: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(1):
            with suppress(OSError), urllib.request.urlopen(self._url, timeout=5) as answer:
                found = answer.read().decode()
                self._names |= set(re.findall(r"(?m)^(ray_msp_\w+?)(?:_total)?\{", found))

    def names(self) -> set[str]:
        self._ended.set()
        self.join()
        return self._names


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head whose token comes from the environment, as on a cluster."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    env = {**os.environ, **token, "PATH": path}
    gcs, dashboard, metrics = (free_port() for _ in range(3))
    options = [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--metrics-export-port={metrics}"]
    options += ["--num-cpus=3", "--dashboard-host=127.0.0.1", "--disable-usage-stats"]
    log = tmp_path_factory.mktemp("head") / "log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options],
            env=env,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    head = Head(f"http://127.0.0.1:{dashboard}", metrics, env)
    try:
        wait_for(head, process, log)
        yield head
    finally:
        parent = psutil.Process(process.pid)
        for one in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(head: Head, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the head's job server answers, to us or to somebody with a token."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{head.url}/api/version", timeout=5).close()
            return
        except urllib.error.HTTPError:  # without a token it says no, and that is an answer
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the head does not answer:\n{log.read_text()}")


def config_in(folder: Path, **values: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(output=folder / "out") if not values else values["text"])
    return path


@pytest.mark.ray
def test_submit_follows_the_job_and_refuses_a_second_with_the_same_output(
    head: Head, tmp_path: Path
) -> None:
    config = config_in(tmp_path)
    seen = Scraped(head)
    seen.start()
    first = head.submit(config)
    assert first.stderr
    while not (line := first.stderr.readline()).startswith("submitted raysubmit_"):
        assert line, "the job was not submitted"
    second = head.submit(config)
    said, refused = second.communicate(timeout=300)
    assert (second.returncode, said) == (2, ""), refused
    assert f"writes to {tmp_path / 'out'} already; wait for it" in refused

    said, log = first.communicate(timeout=600)
    assert first.returncode == 0, log
    assert json.loads(said.splitlines()[-1])["status"] == "SUCCEEDED"
    assert "generate: 177/177 units" in log and '"num_synthetic"' in log

    assert seen.names() == {
        "ray_msp_units_generated",
        "ray_msp_candidates_generated",
        "ray_msp_tokens_generated",
        "ray_msp_candidates_kept",
        "ray_msp_candidates_dropped",
    }

    command = [sys.executable, "-m", "msp.cli", "status", str(tmp_path / "out")]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True)
    status = json.loads(elsewhere.stdout.splitlines()[-1])
    assert status == run_status(str(tmp_path / "out"))
    assert (status["stage"], status["done_units"], status["held_by"]) == ("done", 177, None)
    assert sum(status["num_kept_by_attribute"].values()) >= status["num_kept"] > 0
    assert status["dollars"] == pytest.approx(36 * status["node_hours"]["head"], abs=1e-4)


@pytest.mark.ray
def test_submit_ends_with_the_status_of_a_job_that_fails(head: Head, tmp_path: Path) -> None:
    text = CONFIG.format(output=tmp_path / "out").replace("sample:front_desk", "gone.jsonl")
    job = head.submit(config_in(tmp_path, text=text))
    said, log = job.communicate(timeout=300)
    assert (job.returncode, said) == (1, ""), log
    assert "gone.jsonl" in log and "ended as FAILED" in log


@pytest.mark.ray
def test_a_detached_job_is_named_and_not_waited_for(head: Head, tmp_path: Path) -> None:
    text = CONFIG.format(output=tmp_path / "out").replace("sample:front_desk", "gone.jsonl")
    job = head.submit(config_in(tmp_path, text=text), "--detach")
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0
    assert json.loads(said)["status"] in ("PENDING", "RUNNING")


@pytest.mark.ray
def test_without_its_token_the_cluster_takes_no_job(head: Head, tmp_path: Path) -> None:
    stranger = replace(head, env={**head.env, "RAY_AUTH_TOKEN": "f" * 64})
    job = stranger.submit(config_in(tmp_path))
    said, log = job.communicate(timeout=300)
    assert (job.returncode, said) == (2, ""), log
    assert "the cluster refuses the token" in log and "Traceback" not in log


def test_a_working_directory_over_the_limit_is_refused_with_its_largest_files(
    tmp_path: Path,
) -> None:
    for name, size in {"big.bin": 3000, "data/bigger.jsonl": 5000, "small.txt": 10}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    with pytest.raises(ConfigError, match=r"data/bigger\.jsonl") as refused:
        check_upload(tmp_path, limit=8000)
    said = str(refused.value)
    assert said.index("bigger.jsonl") < said.index("big.bin") and ".rayignore" in said


def test_what_does_not_travel_does_not_count(tmp_path: Path) -> None:
    for name in ("runs/old.bin", ".venv/lib.so", "ignored.bin", "secret.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 5000)
    (tmp_path / ".gitignore").write_text("ignored.bin\n")
    (tmp_path / ".rayignore").write_text("secret.bin\n")
    check_upload(tmp_path, limit=1000)


def test_a_relative_output_is_refused_since_it_goes_with_the_job(tmp_path: Path) -> None:
    config = config_in(tmp_path, text=CONFIG.format(output="runs/out"))
    command = [sys.executable, "-m", "msp.cli", "submit", config.name, "--address"]
    done = subprocess.run(
        [*command, "http://127.0.0.1:1"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "goes with the job; use s3://bucket/prefix" in done.stderr


def test_an_address_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    command = [sys.executable, "-m", "msp.cli", "submit", config.name, "--address"]
    done = subprocess.run(
        [*command, "http://127.0.0.1:1"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "http://127.0.0.1:1" in done.stderr and "Traceback" not in done.stderr
