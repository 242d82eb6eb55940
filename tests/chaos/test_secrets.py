"""Credentials that a run has are in nothing that it leaves, says or logs, errors included."""

from __future__ import annotations

from pathlib import Path

import pytest
from play import CONFIG, scene_of
from schedule import Schedule
from servers import S3Server
from stage import PLANTED, Driver, Stage

from msp.config_file import load_config
from msp.errors import ConfigError

SMALL_STUDENT = "student: {num_steps: 10, num_seeds: 1, hidden_size: 16}\n"


def planted_in(text: bytes) -> list[str]:
    return [name for name, secret in PLANTED.items() if secret.encode() in text]


@pytest.mark.ray
def test_a_planted_secret_is_never_seen(
    stage: Stage, moto_server: S3Server, tmp_path: Path
) -> None:
    with scene_of(Schedule(-1, "s3", ()), tmp_path, moto_server) as scene:
        assert scene.s3 is not None
        scene.config.write_text(scene.config.read_text() + SMALL_STUDENT)
        said = []
        # Answers that repeat the request: at the start, in the workers, and then no more.
        for num_spoilt, kind in ((40, "s3 500"), (0, "")):
            scene.s3.arm(kind, num_spoilt, method="PUT")
            driver = Driver(scene.config, stage.address, command="run")
            assert driver.wait() == (1 if num_spoilt else 0), driver.said()
            said.append(driver.said())
            scene.s3.disarm()
        assert "[hidden]" in said[0], "the server did not repeat the request"
        assert planted_in("".join(said).encode()) == []
        left = {info.key: scene.store.read(info.key) for info in scene.store.list()}
    assert {"run.json", "metrics.json", "report.html", "synthetic/README.md"} <= left.keys()
    assert {key: planted_in(data) for key, data in left.items() if planted_in(data)} == {}
    logs = [path for path in stage.session_folder.rglob("*") if path.is_file()]
    assert len(logs) > 10
    assert {path: found for path in logs if (found := planted_in(path.read_bytes()))} == {}
    jobs = stage.job_table()
    assert str(driver.pid) in jobs and planted_in(jobs.encode()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cluster.s3_endpoint_url", "https://me:{secret}@minio:9000"),
        ("output_uri", "s3://{secret}@bucket/x"),
        ("task.path", "https://{secret}:x@host/data.jsonl"),
        ("model.name", "https://user:{secret}@hub/model"),
    ],
)
def test_a_secret_in_a_config_is_refused_and_not_repeated(
    tmp_path: Path, key: str, value: str
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.format(output=tmp_path / "out", timeout=1, endpoint=""))
    with pytest.raises(ConfigError, match=f"{key} carries a user or a password") as caught:
        load_config(config, [f"{key}={value.format(secret=PLANTED['HF_TOKEN'])}"])
    assert planted_in(str(caught.value).encode()) == []
    assert not (tmp_path / "out").exists()
