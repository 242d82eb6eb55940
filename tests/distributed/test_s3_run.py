"""A whole scripted run against two independent S3 servers, resumed and finished again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import S3Server, moto_server, rclone_server

from msp.storage.store import open_store

__all__ = ["moto_server", "rclone_server"]

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: s3://{bucket}/runs/7
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, novel_units_per_seed_example: 0}}
student: {{num_steps: 20, num_seeds: 3}}
cluster: {{s3_endpoint_url: "{endpoint}"}}
"""


def msp(config: Path, server: S3Server) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "msp.cli", "run", str(config)],
        capture_output=True,
        text=True,
        env={**os.environ, **server.env},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("kind", ["moto_server", "rclone_server"])
def test_a_run_on_s3_ends_in_a_report_and_is_not_repeated(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: S3Server = request.getfixturevalue(kind)
    bucket = server.new_bucket()
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.format(bucket=bucket, endpoint=server.endpoint_url))
    first = msp(config, server)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(f"s3://{bucket}/runs/7", endpoint_url=server.endpoint_url)
    keys = {info.key for info in store.list("")}
    assert {"run.json", "metrics.json", "report.html", "synthetic/manifest.json"} <= keys
    assert msp(config, server) == first
    assert {info.key for info in store.list("")} == keys
