"""A retried job gets a new cluster, and finishes what the lost one began."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from outcomes import Record, differences, record_of
from play import num_committed, scene_of
from schedule import NUM_SHARDS, Schedule
from servers import S3Server
from stage import Driver, Stage
from work_log import begun

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("num_before", [10, NUM_SHARDS + 5])
def test_a_fresh_cluster_on_the_same_output_finishes_the_run(
    num_before: int,
    stage: Stage,
    unbroken: Callable[[str], Record],
    moto_server: S3Server,
    tmp_path: Path,
) -> None:
    with scene_of(Schedule(-1, "s3", ()), tmp_path, moto_server) as scene:
        first = Driver(scene.config, stage.address)
        lost = stage.address
        while num_committed(scene.store) < num_before:
            assert first.status is None, first.said()
            time.sleep(0.05)
        first.kill()
        stage.kill()
        retried = Driver(scene.config, stage.address)
        assert stage.address != lost
        assert retried.wait() == 0, retried.said()
        found = record_of(scene.store)
        assert differences(found, unbroken("msp")) == (0, 0) and not found.num_doubled
        # What was committed before is not begun again, but what was on its way may be.
        assert begun(scene.store.uri).total() < 2 * NUM_SHARDS
