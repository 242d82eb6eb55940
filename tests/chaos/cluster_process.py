"""A Ray cluster of a head and two nodes in a process of its own, which obeys its standard input.

Ray ends a process whose head was killed under it, and it shall not be the one
that runs the tests. At the end of its input it takes the cluster down.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

import psutil
from ray.cluster_utils import Cluster

_NUM_NODES = 2
_NUM_TRIES = 3
_NODE = {"num_cpus": 2, "object_store_memory": 100 << 20}
# A killed node answers at once that nobody listens; a busy machine needs the time to answer.
_HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 30_000,
    "health_check_failure_threshold": 3,
}


def main() -> None:
    """Start the cluster, say where it is, and do what each line asks for."""
    # Ray talks on standard output, too; the answers have it to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        cluster = _new_cluster()
        _answer(answers, [cluster.address, cluster.head_node.get_session_dir_path()])
        for line in sys.stdin:
            command, _, number = line.strip().partition(" ")
            if command == "kill-node":
                nodes = sorted(cluster.worker_nodes, key=lambda node: str(node.unique_id))
                cluster.remove_node(nodes[int(number) % len(nodes)], allow_graceful=False)
                _add_node(cluster)
                _answer(answers, "killed")
            else:
                _answer(answers, repr(cluster.global_state.job_table()))
    finally:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _answer(answers: object, value: object) -> None:
    print(json.dumps(value), file=answers, flush=True)  # type: ignore[call-overload]


def _new_cluster() -> Cluster:
    head = {**_NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": _HEALTH}
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    for _ in range(_NUM_NODES):
        _add_node(cluster)
    return cluster


def _add_node(cluster: Cluster) -> None:
    for left in reversed(range(_NUM_TRIES)):
        try:
            cluster.add_node(**_NODE)
            return
        except Exception:
            # On a machine with much else to do Ray's half minute for a start is too short.
            if not left:
                raise


if __name__ == "__main__":
    main()
