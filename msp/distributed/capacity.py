"""What a cluster has and what its autoscaler can bring, and what a run waits for meanwhile.

A cluster that scales has nothing at first, so what is not there is refused only
where no node type could bring it. Waiting is no failure, and says for what it waits.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray

from msp.progress import console

# Twice the autoscaler's own round of 5 s, and time for a busy head.
_ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_AGAIN_SECONDS = 60.0
_LISTED = re.compile(r"(!?)in\((.*)\)")


@dataclass(frozen=True)
class Workers:
    """A group of workers that a stage needs at the same time.

    Args:
        number: of them.
        each: resource -> amount that one worker holds, such as ``{"CPU": 1, "GPU": 1}``.
        labels: of the nodes that they may run on; empty for any.
        keys: the settings that ask for them, for messages.
    """

    number: int
    each: Mapping[str, float]
    keys: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.number} x {_words(self.each, self.labels)}"


def lacking(
    groups: Sequence[Workers], nodes: Sequence[Mapping[str, Any]]
) -> tuple[str, str] | None:
    """Return what the nodes are too few for, and which settings ask for it; None if they suffice.

    Args:
        groups: that a stage needs at the same time.
        nodes: as ``ray.nodes()`` gives them.
    """
    alive = [node for node in nodes if node["Alive"]]
    for resource in ("CPU", "GPU"):
        needs = sum(group.number * group.each.get(resource, 0.0) for group in groups)
        has = sum(node["Resources"].get(resource, 0.0) for node in alive)
        if needs > has + 1e-9:
            asking = [group.keys for group in groups if group.each.get(resource)]
            return f"{needs:g} {resource}s, but the cluster has {has:g}", " + ".join(asking)
    for group in groups:
        fitting = [node for node in alive if matches(node.get("Labels", {}), group.labels)]
        places = sum(_places(node["Resources"], group.each) for node in fitting)
        if group.number > places:
            return f"{group}, but the cluster has nodes for {places}", group.keys
    return None


def _places(has: Mapping[str, float], each: Mapping[str, float]) -> int:
    return min(int(has.get(name, 0.0) / amount + 1e-9) for name, amount in each.items() if amount)


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether a node's labels satisfy selectors of Ray's: ``a``, ``!a``, ``in(a,b)``.

    Args:
        labels: of the node.
        wanted: label -> selector; all must hold.
    """
    return all(_matches(labels.get(key), selector) for key, selector in wanted.items())


def _matches(value: str | None, selector: str) -> bool:
    listed = _LISTED.fullmatch(selector)
    if listed is None:
        is_not, names = selector.startswith("!"), [selector.removeprefix("!")]
    else:
        is_not, names = bool(listed[1]), [name.strip() for name in listed[2].split(",")]
    return (value in names) != is_not


def autoscales() -> bool:
    """Return whether the cluster has an autoscaler that says what it cannot do: version 2."""
    from ray.autoscaler.v2.utils import is_autoscaler_v2

    if not ray.is_initialized():
        return False
    if not is_autoscaler_v2(fetch_from_server=True):
        return False
    return bool(_reply().autoscaling_state.last_seen_cluster_resource_state_version)


def cannot_bring(groups: Sequence[Workers]) -> bool:
    """Return whether the autoscaler says that no nodes it may start could hold the workers.

    It is asked by asking for them, so nodes that it can bring begin to start. One
    that does not answer in a minute has not said no.
    """
    from ray.autoscaler.sdk import request_resources

    bundles = [dict(group.each) for group in groups for _ in range(group.number)]
    labels = [dict(group.labels) for group in groups for _ in range(group.number)]
    request_resources(bundles=bundles, bundle_label_selectors=labels)
    try:
        # What the autoscaler saw of the cluster has a number, and the question is part of it.
        asked = _reply().cluster_resource_state.cluster_resource_state_version
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline:
            answer = _reply().autoscaling_state
            if answer.last_seen_cluster_resource_state_version >= asked:
                return bool(answer.infeasible_cluster_resource_constraints)
            time.sleep(_POLL_SECONDS)
    finally:
        request_resources(bundles=[])
    return False


def _reply() -> Any:
    """Return what the cluster and its autoscaler last said of themselves."""
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GetClusterStatusReply()
    reply.ParseFromString(ray._private.worker.global_worker.gcs_client.get_cluster_status())
    return reply


@contextmanager
def waiting_said() -> Iterator[None]:
    """Say on standard error what a cluster that scales is asked for and has not, while it lasts."""
    if not autoscales():
        yield
        return
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(ended,), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(ended: threading.Event) -> None:
    since, said_at, said = 0.0, 0.0, ""
    while not ended.wait(_LOOK_SECONDS):
        now, words = time.monotonic(), _look()
        if not words:
            if said:
                console().print(f"capacity came after {now - since:.0f} s", markup=False)
            since, said = 0.0, ""
            continue
        since = since or now
        is_news = words != said or now - said_at > _AGAIN_SECONDS
        if is_news and now - since >= _PATIENCE_SECONDS:
            said_at, said = now, words
            console().print(f"waiting {now - since:.0f} s for capacity: {words}", markup=False)


def _look() -> str:
    if not ray.is_initialized():
        return ""
    try:
        return asked_in_vain(_reply())
    except Exception:  # whatever Ray raises while its head goes away; the run itself will say so
        return ""


def asked_in_vain(reply: Any) -> str:
    """Return what is asked for and has no place, with the nodes that are starting; or nothing.

    Args:
        reply: ``GetClusterStatusReply`` of Ray's autoscaler.
    """
    state, scaling = reply.cluster_resource_state, reply.autoscaling_state
    singles = [(found.request, found.count) for found in state.pending_resource_requests]
    gangs = [(one, 1) for gang in state.pending_gang_resource_requests for one in gang.requests]
    asked = [
        f"{count} x {_words(request.resources_bundle, _labels(request))}"
        for request, count in singles + gangs
    ]
    starting = [
        f"{found.count} {found.ray_node_type_name}" for found in scaling.pending_instance_requests
    ]
    starting += [f"1 {found.ray_node_type_name}" for found in scaling.pending_instances]
    if not asked:
        return ""
    nodes = f"; nodes that start: {', '.join(sorted(starting))}" if starting else ""
    if scaling.infeasible_resource_requests or scaling.infeasible_gang_resource_requests:
        nodes += "; the autoscaler has no node type, or no more nodes, for some of it"
    return ", ".join(sorted(asked)) + nodes


def _labels(request: Any) -> dict[str, str]:
    """Return the labels that a request asks for, the first of its alternatives."""
    from ray.core.generated.common_pb2 import LABEL_OPERATOR_NOT_IN

    return {
        wanted.label_key: "!" * (wanted.operator == LABEL_OPERATOR_NOT_IN)
        + " or ".join(wanted.label_values)
        for selector in request.label_selectors[:1]
        for wanted in selector.label_constraints
    }


def _words(each: Mapping[str, float], labels: Mapping[str, str]) -> str:
    amounts = " and ".join(f"{amount:g} {resource}" for resource, amount in sorted(each.items()))
    return f"({amounts}{f' on {_label_words(labels)}' if labels else ''})"


def _label_words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
