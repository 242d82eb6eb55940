"""The launcher files hold to Ray's own schema, and to what this project promises of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from files import CLUSTER, LAUNCHERS, POLICIES, documents, filled, values_of
from ray.autoscaler._private.util import prepare_config, validate_config

launchers = pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)


def launcher(path: Path) -> dict[str, Any]:
    (config,) = documents(path)
    return config


def worker_types(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    types: dict[str, dict[str, Any]] = dict(config["available_node_types"])
    del types[config["head_node_type"]]
    return types


@launchers
def test_ray_accepts_the_file(path: Path) -> None:
    prepared = prepare_config(launcher(path))
    validate_config(prepared)
    assert prepared["available_node_types"][prepared["head_node_type"]]["max_workers"] == 0


@launchers
def test_workers_are_spot_machines_from_none_and_the_head_is_not(path: Path) -> None:
    config = launcher(path)
    head = config["available_node_types"][config["head_node_type"]]
    assert not {"InstanceMarketOptions", "scheduling"} & set(head["node_config"])
    for worker in worker_types(config).values():
        assert worker["min_workers"] == 0 < worker["max_workers"]
        node = worker["node_config"]
        market = node.get("InstanceMarketOptions", {}).get("MarketType")
        assert market == "spot" or node["scheduling"]["provisioningModel"] == "SPOT"
        assert worker["labels"]["market"] == "spot"
    assert sum(w["max_workers"] for w in worker_types(config).values()) >= config["max_workers"]


@launchers
def test_there_are_gpu_workers_and_cpu_workers(path: Path) -> None:
    gpus = {
        bool(worker["resources"].get("GPU")) for worker in worker_types(launcher(path)).values()
    }
    assert gpus == {True, False}
    for worker in worker_types(launcher(path)).values():
        image = worker.get("docker", {}).get("worker_image", "-cpu")
        assert image.endswith("-gpu" if worker["resources"].get("GPU") else "-cpu")


@launchers
def test_nothing_is_public(path: Path) -> None:
    config = launcher(path)
    assert config["provider"]["use_internal_ips"] is True
    assert config["auth"]["ssh_proxy_command"] and config["auth"]["ssh_proxy_use_node_id"] is True
    start = " ".join(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start and "0.0.0.0" not in filled(path)
    assert "-e RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"]["/home/msp/.ray/auth_token"] == "~/.ray/auth_token"
    assert not list(values_of(config, "accessConfigs"))  # GCP's word for a public address
    for node in values_of(config, "node_config"):
        # Without a group of its own Ray makes one that lets the whole internet in by SSH.
        assert node.get("SecurityGroupIds") or node.get("networkInterfaces")


@launchers
def test_every_worker_listens_for_its_notice(path: Path) -> None:
    cloud = {"aws": "aws", "gcp": "gcp"}[path.stem]
    commands = launcher(path)["worker_start_ray_commands"]
    assert any(f"msp.distributed.drain_on_notice {cloud}" in command for command in commands)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_has_only_what_the_language_knows(path: Path) -> None:
    policy = json.loads(filled(path))
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action
        # What may name any resource only looks, or logs in.
        if statement.get("Resource") == "*":
            names = [actions] if isinstance(actions, str) else actions
            assert all(n.partition(":")[2].startswith(("Describe", "GetAuth")) for n in names)


def test_the_bucket_policy_is_for_one_bucket() -> None:
    policy = json.loads((CLUSTER / "iam" / "bucket-policy.json").read_text())
    buckets = {statement["Resource"] for statement in policy["Statement"]}
    assert buckets == {"arn:aws:s3:::BUCKET_NAME", "arn:aws:s3:::BUCKET_NAME/*"}


def test_the_head_may_start_the_workers_of_the_launcher_file_and_no_others() -> None:
    config = launcher(CLUSTER / "aws.yaml")
    policy = json.loads(filled(CLUSTER / "iam" / "head-policy.json"))
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    condition = by_sid["StartWorkersOfThisCluster"]["Condition"]["StringEquals"]
    types = {w["node_config"]["InstanceType"] for w in worker_types(config).values()}
    assert set(condition["ec2:InstanceType"]) == types
    assert condition["aws:RequestTag/ray-cluster-name"] == config["cluster_name"]
    profiles = {
        w["node_config"]["IamInstanceProfile"]["Name"] for w in worker_types(config).values()
    }
    passed = by_sid["GiveWorkersTheirRoleAndNoOther"]["Resource"]
    assert {passed.rpartition("/")[2]} == profiles
    with_what = by_sid["WithWhatAWorkerNeeds"]["Resource"]
    for node in values_of(config, "node_config"):
        for name in [node["ImageId"], *node["SubnetIds"], *node["SecurityGroupIds"]]:
            assert any(resource.endswith(f"/{name}") for resource in with_what)


def test_the_gcp_role_starts_and_ends_machines_and_does_nothing_else() -> None:
    (role,) = documents(CLUSTER / "iam" / "gcp-head-role.yaml")
    assert set(role) == {"title", "stage", "includedPermissions"}
    permissions = set(role["includedPermissions"])
    assert {"compute.instances.create", "compute.instances.delete"} <= permissions
    assert all(name.startswith("compute.") and "*" not in name for name in permissions)
    assert not any("firewall" in name.lower() or "iam" in name.lower() for name in permissions)
