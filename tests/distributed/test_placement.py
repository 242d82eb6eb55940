"""A cluster that is too small is refused at once, before anything is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
"""


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("cluster.gpus_per_generator=1", "generate needs 1 GPUs"),
        ("cluster.cpus_per_generator=900", "generate needs 900.7 CPUs"),
        ("tune.num_workers=16", "tune needs 16 CPUs"),
        ("cluster.address=127.0.0.1:1", "nothing answers there"),
    ],
)
def test_a_config_that_the_cluster_cannot_hold_ends_with_status_2(
    setting: str, message: str, tmp_path: Path
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.format(output=tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-m", "msp.cli", "run", str(config), "--set", setting],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and done.stdout == ""
    assert not list((tmp_path / "out").rglob("*.*"))
