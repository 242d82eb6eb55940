"""``msp estimate`` runs a small part for real, says what the whole takes, and leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import S3Server, moto_server

from msp.cli import app, guarded
from msp.config import RunConfig
from msp.distributed.estimate import estimate_run
from msp.errors import ConfigError
from msp.storage.store import open_store

__all__ = ["moto_server"]

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def credentials(moto_server: S3Server) -> Iterator[None]:
    """Before Ray starts, whose workers inherit them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in moto_server.env.items():
            patch.setenv(name, value)
        yield


def config(output_uri: str, **cluster: object) -> RunConfig:
    tree = {
        "output_uri": output_uri,
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        "generate": {"engine": "scripted"},
        "denoise": {"frequency_weight": 1.0, "distance_weight": 0.0, "disagreement_weight": 0.0},
        "student": {"num_seeds": 2, "num_steps": 20},
        "metrics": {"max_texts": 0},
        "cluster": cluster,
    }
    return RunConfig.model_validate(tree)


def test_an_estimate_is_of_the_whole_plan_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = estimate_run(config(str(tmp_path / "out"), dollars_per_head_hour=3600.0))
    assert (found["num_units"], found["num_candidates"]) == (885, 4425)
    assert 0 < found["num_kept"] <= 4 * 885
    assert list(found["stages"]) == ["start", "tune", "generate", "publish", "train", "evaluate"]
    assert found["stages"]["tune"] == 0 < found["stages"]["train"]
    assert found["wall_seconds"] == pytest.approx(sum(found["stages"].values()), abs=0.5)
    assert found["node_hours"].keys() <= {"head", "gpu"}
    assert found["dollars"] is not None
    assert "885 units" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    json.dumps(found)


def test_an_estimate_beside_a_bucket_is_removed_from_it(moto_server: S3Server) -> None:
    bucket = moto_server.new_bucket()
    url = moto_server.endpoint_url
    estimate_run(config(f"s3://{bucket}/runs/7", s3_endpoint_url=url))
    assert not list(open_store(f"s3://{bucket}", endpoint_url=url).list())


def test_a_config_that_a_run_refuses_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"output_uri: {tmp_path}/out\ntask: {{name: jsonl, path: gone.jsonl}}\n")
    assert guarded(lambda: app(["estimate", str(path)], standalone_mode=False)) == 2
    assert "gone.jsonl" in capsys.readouterr().err


def test_a_set_that_grows_from_what_it_keeps_is_not_estimated(tmp_path: Path) -> None:
    grown = RunConfig.model_validate(
        {
            "output_uri": str(tmp_path / "out"),
            "task": {"name": "strategyqa", "path": "unread"},
            "generate": {"method": "data_creation", "num_synthetic": 100},
        }
    )
    with pytest.raises(ConfigError, match="shows only as it grows; run it with a small"):
        estimate_run(grown)
    assert not list(tmp_path.iterdir())
