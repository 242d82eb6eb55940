"""What the tests of ``cluster/`` share: its files, and the words in them that a user fills in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
LAUNCHERS = [CLUSTER / "aws.yaml", CLUSTER / "gcp.yaml"]
MANIFESTS = sorted((CLUSTER / "kubernetes").glob("*.yaml"))
POLICIES = sorted((CLUSTER / "iam").glob("*.json"))
PLACEHOLDERS = {
    "ACCOUNT_ID": "123456789012",
    "REGION_NAME": "us-east-2",
    "ZONE_NAME": "us-east-2a",
    "PROJECT_ID": "acme",
    "BUCKET_NAME": "acme-msp",
    "SUBNET_ID": "subnet-1",
    "SECURITY_GROUP_ID": "sg-1",
    "AMI_ID": "ami-1",
    "IMAGE_URI": "projects/p/global/images/i",
    "SSH_PUBLIC_KEY": "ssh-ed25519 AAAA",
    "REGISTRY_NAME": "registry.example.com/acme",
    "NODE_LABEL": "example.com/market",
    "GPU_TYPE": "l4",
}
_PLACEHOLDER = re.compile(r"(?<![A-Z0-9_$])[A-Z]+(?:_[A-Z]+)+(?![A-Z0-9_=])")
# Environment variables, Ray's and Amazon's own words.
_NOT_OURS = {"NODE_IP", "RAY_HEAD_IP", "TORCH_INDEX", "EXTRAS"}


def placeholders(text: str) -> set[str]:
    """Return the capital words with ``_`` that are a user's to fill in, comments left out."""
    uncommented = re.sub(r"(?m)(^|\s)#.*$", "", text)
    return set(_PLACEHOLDER.findall(uncommented)) - _NOT_OURS


def filled(path: Path) -> str:
    """Return a file with every placeholder replaced."""
    text = path.read_text()
    for word, value in PLACEHOLDERS.items():
        text = text.replace(word, value)
    return text


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the YAML documents of a filled file."""
    return [found for found in yaml.safe_load_all(filled(path)) if found]


def values_of(node: Any, key: str) -> Iterator[Any]:
    """Yield every value that stands under ``key``, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values_of(value, key)


def project() -> dict[str, Any]:
    """Return pyproject.toml's project table."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table
