"""A Ray head whose autoscaler starts and ends fake GPU nodes: processes on this machine.

Ray's pip package has the fake provider and lacks the file that describes its
cluster, so that file is written here.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

MAX_NODES = 3
LABELS = {"gpu-type": "fake"}
_HEAD_ID = "f" * 51 + "00000"
_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
_IDLE_SECONDS = 10
_START_SECONDS = 120


class FakeCluster:
    """A head with a CPU and, as they are asked for, up to three nodes with a GPU each.

    Args:
        folder: for its files and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        self._log = folder / "head.log"
        config = folder / "cluster.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        port = self.address.rpartition(":")[2]
        options = ["--num-cpus=2", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
        options += ["--object-store-memory=104857600", "--disable-usage-stats"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                    *(f"--port={port}", f"--autoscaling-config={config}", *options),
                ],
                env=self._env(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _config(self) -> dict[str, Any]:
        return {
            "cluster_name": "fake",
            "max_workers": MAX_NODES,
            "idle_timeout_minutes": _IDLE_SECONDS / 60,
            "upscaling_speed": 1.0,
            "provider": {
                "type": "external",
                "module": _PROVIDER,
                "launch_multiple": True,
                "head_node_id": _HEAD_ID,
                "gcs_address": self.address,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "auth": {},
            "docker": {},
            "head_node_type": "ray.head.default",
            "available_node_types": {
                "ray.head.default": {
                    "resources": {"CPU": 2},
                    "node_config": {},
                    "max_workers": 0,
                },
                "gpu": {
                    "resources": {"CPU": 1, "GPU": 1, "object_store_memory": 80 << 20},
                    "labels": LABELS,
                    "node_config": {},
                    "min_workers": 0,
                    "max_workers": MAX_NODES,
                },
            },
            **{
                name: []
                for name in (
                    "cluster_synced_files",
                    "initialization_commands",
                    "setup_commands",
                    "head_setup_commands",
                    "worker_setup_commands",
                    "head_start_ray_commands",
                    "worker_start_ray_commands",
                )
            },
            "file_mounts": {},
        }

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD_ID,
        }

    def wait_until_it_answers(self) -> None:
        """Return once the head's port is open; its end or a minute too many is an error."""
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()
            with suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            time.sleep(0.2)
        raise AssertionError(f"the head does not answer:\n{self._log.read_text()}")

    def num_gpu_nodes(self) -> int:
        """Return how many of its nodes with a GPU are alive now."""
        from ray._raylet import GcsClient

        nodes = GcsClient(address=self.address).get_all_node_info().values()
        return sum(node.state == 0 and node.resources_total.get("GPU", 0) > 0 for node in nodes)

    def kill_gpu_node(self) -> None:
        """Kill a node at once, as a cloud does that gives no notice; its workers go with it."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.Error):
                node = process.environ().get("RAY_OVERRIDE_NODE_ID_FOR_TESTING", _HEAD_ID)
                if process.name() == "raylet" and node != _HEAD_ID:
                    for one in [*process.children(recursive=True), process]:
                        with suppress(psutil.NoSuchProcess):
                            one.kill()
                    return
        raise AssertionError("there is no node to kill")

    def kill(self) -> None:
        """End the head and all nodes, which are the children of its autoscaler."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            for one in [*parent.children(recursive=True), parent]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
