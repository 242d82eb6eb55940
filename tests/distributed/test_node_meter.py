"""Every node that is paid for counts, as one kind, and none that is gone."""

from __future__ import annotations

from typing import Any

from msp.distributed.node_meter import count_nodes


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


HEAD = {"node:__internal_head__": 1.0}


def test_a_cluster_is_a_head_its_gpus_and_the_cpus_of_nodes_without_any() -> None:
    nodes = [node(**HEAD), node(GPU=4.0, CPU=32.0), node(GPU=1.0, CPU=8.0), node(CPU=16.0)]
    assert count_nodes(nodes) == {"head": 1, "gpu": 5.0, "cpu": 16.0}


def test_a_node_that_is_gone_costs_nothing() -> None:
    assert count_nodes([node(**HEAD), node(alive=False, GPU=4.0)]) == {"head": 1, "cpu": 0.0}


def test_one_machine_with_gpus_counts_by_them_and_one_without_as_a_head() -> None:
    assert count_nodes([node(GPU=2.0, CPU=16.0, **HEAD)]) == {"gpu": 2.0}
    assert count_nodes([node(CPU=16.0, **HEAD)]) == {"head": 1}
    assert count_nodes([]) == {"head": 1.0}
