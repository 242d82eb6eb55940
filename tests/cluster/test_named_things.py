"""Whatever a file of ``cluster/`` names is there: images, configs, modules, words to fill in."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from files import (
    CLUSTER,
    LAUNCHERS,
    MANIFESTS,
    PLACEHOLDERS,
    ROOT,
    documents,
    filled,
    placeholders,
    project,
    values_of,
)

from msp.config_file import load_config

ALL = [p for p in sorted(CLUSTER.rglob("*")) if p.is_file()]
TEMPLATES = [*LAUNCHERS, *MANIFESTS, *sorted((CLUSTER / "iam").iterdir())]
DOCKERFILE = (CLUSTER / "Dockerfile").read_text()
README = (CLUSTER / "README.md").read_text()
named = {"ids": lambda path: str(path.relative_to(CLUSTER))}


def test_every_file_is_one_that_a_test_looks_at() -> None:
    others = {"Dockerfile", "Dockerfile.dockerignore", "README.md", "SCALING.md", "autoscaling.svg"}
    assert {p.name for p in ALL if p not in TEMPLATES} == others


@pytest.mark.parametrize("path", TEMPLATES, **named)
def test_every_word_to_fill_in_is_in_the_readmes_table(path: Path) -> None:
    found = placeholders(path.read_text())
    assert found <= set(PLACEHOLDERS), path
    assert not placeholders(filled(path))


def test_the_readmes_table_has_the_words_of_the_files_and_no_others() -> None:
    table = set(re.findall(r"(?m)^\| `([A-Z_]+)` \|", README))
    used = {word for path in TEMPLATES for word in placeholders(path.read_text())}
    assert table == used == set(PLACEHOLDERS)


def images() -> set[str]:
    found = {
        image for path in MANIFESTS for o in documents(path) for image in values_of(o, "image")
    }
    for path in LAUNCHERS:
        (config,) = documents(path)
        found |= {config["docker"]["image"], *values_of(config, "worker_image")}
    return found


def test_every_image_is_one_that_the_dockerfile_builds() -> None:
    version = project()["version"]
    built = set(re.findall(r"-t \S*?(msp:\S+)", DOCKERFILE))
    assert built == {f"msp:{version}-cpu", f"msp:{version}-gpu"}
    assert {image.rpartition("/")[2] for image in images()} == built
    assert built <= set(re.findall(r"msp:[\w.-]+", README))


def test_the_image_is_made_of_what_is_there_and_runs_as_no_root() -> None:
    for line in re.findall(r"(?m)^COPY (.*)$", DOCKERFILE):
        *sources, _ = shlex.split(line)
        for source in sources:
            assert (ROOT / source).exists(), source
            assert (
                f"!{source.removeprefix('./')}"
                in (CLUSTER / "Dockerfile.dockerignore").read_text().splitlines()
            )
    assert re.findall(r"(?m)^USER (.*)$", DOCKERFILE)[-1] == "1000"
    assert "--uid 1000" in DOCKERFILE and "ENV RAY_AUTH_MODE=token" in DOCKERFILE
    (extras,) = re.findall(r"(?m)^ARG EXTRAS=(.*)$", DOCKERFILE)
    assert extras in project()["optional-dependencies"]
    python = re.findall(r"(?m)^FROM python:([\d.]+)-", DOCKERFILE)
    assert project()["requires-python"] == f">={python[0]}"


def test_the_pin_that_the_image_takes_from_constraints_is_there() -> None:
    assert "grep '^torch==' constraints.txt" in DOCKERFILE
    assert re.search(r"(?m)^torch==[\d.]+$", (ROOT / "constraints.txt").read_text())


def test_the_jobs_entry_point_its_config_and_its_settings_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (job,) = [o for path in MANIFESTS for o in documents(path) if o["kind"] == "RayJob"]
    python, minus_m, module, config, *settings = shlex.split(job["spec"]["entrypoint"])
    assert (python, minus_m) == ("python", "-m")
    assert importlib.util.find_spec(module)
    assert "WORKDIR /app\n" in DOCKERFILE and config.startswith("/app/")
    overrides = [word for word in settings if word != "--set"]
    loaded = load_config(ROOT / config.removeprefix("/app/"), overrides)
    assert loaded.output_uri == "s3://acme-msp/quickstart"
    asked = loaded.cluster.max_generators * loaded.cluster.gpus_per_generator
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert asked == max(group["maxReplicas"] for group in groups if group["groupName"] == "gpu")


@pytest.mark.parametrize("path", [*LAUNCHERS, *MANIFESTS], **named)
def test_every_python_module_that_is_started_is_there(path: Path) -> None:
    for module in re.findall(r"python(?:,)? -m(?:,)? ([\w.]+)", filled(path)):
        assert importlib.util.find_spec(module), module


def test_every_file_that_the_readme_names_is_there() -> None:
    for name in re.findall(r"(?:my-cluster|file:/)/([\w./-]+\.(?:yaml|json))", README):
        assert (CLUSTER / name).is_file() or (CLUSTER / "iam" / name).is_file(), name
    for name in re.findall(r"ray_jobs/configs/[\w/]+\.yaml", README):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (CLUSTER / name).exists(), name


def test_every_msp_command_in_the_readme_parses() -> None:
    from typer.main import get_command

    from msp.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    script = README.replace("\\\n", " ")
    lines = re.findall(r"(?m)^msp (.*)$", script)
    assert lines
    for line in lines:
        name, *arguments = shlex.split(line, comments=True)
        commands[name].make_context(name, [a.strip("&") for a in arguments if a != "&"])
