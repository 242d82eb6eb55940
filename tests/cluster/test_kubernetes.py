"""The manifests hold to KubeRay's schema, with no key that it does not know, and to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from files import MANIFESTS, ROOT, documents, filled, project, values_of

SCHEMAS = ROOT.parent / "shared" / "schemas"
CRDS = {"RayCluster": "ray.io_rayclusters.yaml", "RayJob": "ray.io_rayjobs.yaml"}
OBJECTS = [found for path in MANIFESTS for found in documents(path)]
CLUSTERS = [
    pytest.param(found["spec"].get("rayClusterSpec", found["spec"]), id=found["kind"])
    for found in OBJECTS
    if found["kind"] in CRDS
]


def closed(schema: Any) -> Any:
    """Return a CRD's schema with every object closed, as ``kubectl`` validates it."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and "type" in schema and not is_open:
        shut["additionalProperties"] = False
    return shut


def crd_schema(kind: str) -> Any:
    path = SCHEMAS / CRDS[kind]
    if not path.is_file():
        pytest.skip(f"KubeRay's schema is not here: {path}")
    versions = yaml.safe_load(path.read_text())["spec"]["versions"]
    return next(v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1")


@pytest.mark.parametrize(
    "found", [o for o in OBJECTS if o["kind"] in CRDS], ids=lambda found: found["kind"]
)
def test_kuberay_accepts_the_manifest(found: dict[str, Any]) -> None:
    assert found["apiVersion"] == "ray.io/v1"
    jsonschema.validate(found, closed(crd_schema(found["kind"])))


def test_a_misspelt_key_is_refused() -> None:
    (found,) = [o for o in OBJECTS if o["kind"] == "RayCluster"]
    wrong = {**found, "spec": {**found["spec"], "enableInTreeAutoscalling": True}}
    with pytest.raises(jsonschema.ValidationError, match="enableInTreeAutoscalling"):
        jsonschema.validate(wrong, closed(crd_schema("RayCluster")))


@pytest.mark.parametrize("spec", CLUSTERS)
def test_the_autoscaler_is_kuberays_and_starts_from_none(spec: dict[str, Any]) -> None:
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["version"] == "v2"  # the one that knows labels
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
    gpus = [bool(list(values_of(group, "nvidia.com/gpu"))) for group in spec["workerGroupSpecs"]]
    assert sorted(gpus) == [False, True]


@pytest.mark.parametrize("spec", CLUSTERS)
def test_tokens_are_asked_for_and_no_service_is_public(spec: dict[str, Any]) -> None:
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    version = next(d for d in project()["dependencies"] if d.startswith("ray["))
    assert f">={spec['rayVersion'].rpartition('.')[0]}" in version


def test_the_standing_clusters_dashboard_is_on_loopback() -> None:
    (found,) = [o for o in OBJECTS if o["kind"] == "RayCluster"]
    assert found["spec"]["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"


def pods() -> list[Any]:
    return [
        pytest.param(template, id=f"{found['kind']}-{number}")
        for found in OBJECTS
        if found["kind"] in CRDS
        for number, template in enumerate(
            [*values_of(found, "template"), *values_of(found, "submitterPodTemplate")]
        )
    ]


@pytest.mark.parametrize("template", pods())
def test_a_pod_is_locked_down_as_its_namespace_asks(template: dict[str, Any]) -> None:
    assert template["metadata"]["labels"]["app"] == "msp"  # what the network policy selects
    pod = template["spec"]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True and security["runAsUser"] == 1000
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys()


@pytest.mark.parametrize("spec", CLUSTERS)
def test_a_worker_is_drained_before_it_is_stopped(spec: dict[str, Any]) -> None:
    from msp.distributed.drain_on_notice import _HOOK_SECONDS

    for group in spec["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] > _HOOK_SECONDS
        (container,) = pod["containers"]
        hook = container["lifecycle"]["preStop"]["exec"]["command"]
        assert hook == ["python", "-m", "msp.distributed.drain_on_notice", "now"]


def test_base_has_the_accounts_that_pods_name_and_lets_only_them_in() -> None:
    accounts = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "ServiceAccount"}
    named = {name for found in OBJECTS for name in values_of(found, "serviceAccountName")}
    assert named == accounts
    assert {o["metadata"].get("namespace", o["metadata"]["name"]) for o in OBJECTS} == {"msp"}
    (policy,) = [o["spec"] for o in OBJECTS if o["kind"] == "NetworkPolicy"]
    assert policy["podSelector"] == {"matchLabels": {"app": "msp"}}
    assert policy["policyTypes"] == ["Ingress"]
    doors = [{key for peer in rule["from"] for key in peer} for rule in policy["ingress"]]
    assert doors == [{"podSelector"}, {"namespaceSelector"}]
    assert not list(values_of(policy, "ipBlock"))


def test_no_manifest_holds_a_credential() -> None:
    for path in MANIFESTS:
        text = filled(Path(path)).lower()
        assert not any(word in text for word in ("aws_secret", "auth_token:", "password"))
