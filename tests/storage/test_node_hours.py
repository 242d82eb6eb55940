"""Hours and dollars of a run add up over its starts, whatever each start's prices were."""

from __future__ import annotations

from pathlib import Path

from msp.config import ClusterConfig
from msp.storage.node_hours import NodeHours, dollars, read_node_hours
from msp.storage.store import open_store

PRICED = ClusterConfig(dollars_per_head_hour=0.2, dollars_per_gpu_hour=0.5)


def test_without_any_price_there_are_no_dollars() -> None:
    assert dollars(ClusterConfig(), {"head": 5.0, "gpu": 5.0}) is None
    assert dollars(ClusterConfig(dollars_per_gpu_hour=0.0), {"gpu": 5.0}) == 0.0


def test_a_kind_without_a_price_is_not_counted() -> None:
    assert dollars(PRICED, {"head": 1.0, "gpu": 4.0, "cpu": 100.0}) == 0.2 + 2.0


def test_hours_add_up_over_the_starts_of_a_run(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert read_node_hours(store) == {}
    for config, nodes in ((PRICED, {"head": 1, "gpu": 3}), (ClusterConfig(), {"head": 1})):
        hours = NodeHours(config, read_node_hours(store))
        hours.add(1800, nodes)
        hours.add(1800, nodes)
        hours.write(store)
    found = read_node_hours(store)
    assert found["hours"] == {"head": 2.0, "gpu": 3.0, "cpu": 0.0}
    assert found["dollars"] == 0.2 + 1.5  # the second start named no price
    assert found["now"] == {"head": 1, "gpu": 0.0, "cpu": 0.0}
