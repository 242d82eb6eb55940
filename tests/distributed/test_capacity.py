"""What a cluster lacks is said by amount, by node and by label; and labels mean what Ray means."""

from __future__ import annotations

from typing import Any

import pytest

from msp.distributed.capacity import Workers, asked_in_vain, lacking, matches


def node(alive: bool = True, labels: dict[str, str] | None = None, **has: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": has, "Labels": labels or {}}


GENERATORS = Workers(2, {"CPU": 1, "GPU": 1}, "generators", {"gpu-type": "l4"})
SCORERS = Workers(4, {"CPU": 0.5}, "scorers")


def test_what_is_there_is_enough() -> None:
    nodes = [node(CPU=2.0, GPU=1.0, labels={"gpu-type": "l4"})] * 2
    assert lacking([GENERATORS, SCORERS], nodes) is None


def test_stages_add_up_what_their_groups_need_at_the_same_time() -> None:
    assert lacking([GENERATORS, SCORERS], [node(CPU=3.0, GPU=4.0)]) == (
        "4 CPUs, but the cluster has 3",
        "generators + scorers",
    )


def test_a_node_that_is_gone_is_not_there() -> None:
    short = lacking([SCORERS], [node(CPU=1.0), node(alive=False, CPU=64.0)])
    assert short == ("2 CPUs, but the cluster has 1", "scorers")


def test_a_worker_fits_on_one_node_or_on_none() -> None:
    large = Workers(1, {"CPU": 1, "GPU": 4}, "generators")
    short = lacking([large], [node(CPU=8.0, GPU=2.0)] * 4)
    assert short == ("1 x (1 CPU and 4 GPU), but the cluster has nodes for 0", "generators")


def test_nodes_of_another_label_do_not_count() -> None:
    nodes = [node(CPU=8.0, GPU=1.0, labels={"gpu-type": kind}) for kind in ("l4", "h100", "h100")]
    short = lacking([GENERATORS], nodes)
    assert short is not None
    assert short[0] == "2 x (1 CPU and 1 GPU on gpu-type=l4), but the cluster has nodes for 1"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("l4", True),
        ("h100", False),
        ("!l4", False),
        ("!h100", True),
        ("in(h100, l4)", True),
        ("in(h100)", False),
        ("!in(h100,l4)", False),
        ("!in(h100)", True),
    ],
)
def test_a_selector_means_what_it_means_to_ray(selector: str, expected: bool) -> None:
    from ray._private.label_utils import validate_label_selector

    assert validate_label_selector({"gpu-type": selector.replace(" ", "")}) is None
    assert matches({"gpu-type": "l4"}, {"gpu-type": selector}) is expected


def test_a_node_without_the_label_is_any_other() -> None:
    assert matches({}, {"gpu-type": "!l4"})
    assert not matches({}, {"gpu-type": "l4"})


def reply_of(**waiting: Any) -> Any:
    from google.protobuf.json_format import ParseDict
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    return ParseDict(waiting, GetClusterStatusReply())


def test_nothing_is_said_where_nothing_waits() -> None:
    starting = {"pending_instances": [{"ray_node_type_name": "gpu-l4"}]}
    assert asked_in_vain(reply_of(autoscaling_state=starting)) == ""


def test_what_waits_is_said_with_its_labels_and_the_nodes_that_start() -> None:
    l4 = {"label_key": "gpu-type", "operator": "LABEL_OPERATOR_IN", "label_values": ["l4"]}
    request = {
        "resources_bundle": {"CPU": 1.0, "GPU": 1.0},
        "label_selectors": [{"label_constraints": [l4]}],
    }
    reply = reply_of(
        cluster_resource_state={"pending_resource_requests": [{"request": request, "count": 2}]},
        autoscaling_state={
            "pending_instances": [{"ray_node_type_name": "gpu-l4"}],
            "infeasible_resource_requests": [request],
        },
    )
    assert asked_in_vain(reply) == (
        "2 x (1 CPU and 1 GPU on gpu-type=l4); nodes that start: 1 gpu-l4; the autoscaler has no "
        "node type, or no more nodes, for some of it"
    )
