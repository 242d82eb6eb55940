"""The tree is the data flow: only ``distributed`` knows Ray, and the light parts need no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "msp"
HEAVY = {"ray", "deepspeed"}
LIGHT = [
    "msp.cli",
    "msp.compare.page",
    "msp.config",
    "msp.denoise.keep",
    "msp.denoise.noise",
    "msp.denoise.rules",
    "msp.errors",
    "msp.improve.page",
    "msp.metrics.diversity",
    "msp.records",
    "msp.review.gold",
    "msp.review.serve",
    "msp.status",
    "msp.storage.store",
    "msp.tasks",
    "msp.tasks.metrics",
]


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_only_distributed_imports_ray_or_deepspeed() -> None:
    files = [p for p in PACKAGE.rglob("*.py") if "distributed" not in p.parts]
    assert len(files) > 30
    assert {
        str(p): HEAVY & imported_packages(p) for p in files if HEAVY & imported_packages(p)
    } == {}


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_imports_without_torch_or_ray(module: str) -> None:
    heavy = "('torch', 'ray', 'transformers')"
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_job_entry_points_are_thin() -> None:
    jobs = [p for p in (ROOT / "ray_jobs").glob("*.py") if p.name != "__init__.py"]
    assert jobs
    assert [p.name for p in jobs if len(p.read_text().splitlines()) > 60] == []
