"""From a YAML file and ``--set`` overrides to a checked config, or to a list of its faults."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from msp.config import RunConfig
from msp.errors import ConfigError, did_you_mean

_URI_USER = re.compile(r"\w[\w+.-]*://[^/\s@]*@")
_QUOTED = re.compile(r"'([^']*)'")

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run's config of a YAML file; as :func:`load_config_as`."""
    return load_config_as(RunConfig, path, overrides)


def load_config_as(
    kind: type[AnyConfig], path: str | Path, overrides: Sequence[str] = ()
) -> AnyConfig:
    """Return the config of a YAML file with ``section.key=value`` overrides applied.

    Args:
        kind: which config it is: a run's, or a pre-training's.
        path: the YAML file.
        overrides: each ``section.key=value``, the value read as YAML.

    Raises:
        ConfigError: the file is not there, is no YAML mapping, names an unknown
            key, or breaks a rule; the message lists every fault.
    """
    tree = read_tree(path)
    apply_overrides(tree, overrides)
    return checked(kind, tree, str(path))


def read_tree(path: str | Path) -> dict[str, Any]:
    """Return a config file's mapping as it stands, unchecked.

    Raises:
        ConfigError: the file is not there, or is no YAML mapping.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML ({error}).") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds {type(tree).__name__}, not a mapping of sections.")
    return tree


def read_tree_with_base(path: Path, *, leaving_out: Collection[str]) -> dict[str, Any]:
    """Return a mapping as :func:`read_tree`, the file that its ``base`` names read in.

    Args:
        path: of a config that has a run's config as its base; the base's is relative to it.
        leaving_out: keys of the base that are each run's own, such as where it goes.

    Raises:
        ConfigError: one of the files is not there, or is no YAML mapping.
    """
    tree = read_tree(path)
    if isinstance(tree.get("base"), str):
        base = read_tree(path.parent / tree["base"])
        tree["base"] = {key: value for key, value in base.items() if key not in leaving_out}
    return tree


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> None:
    """Put each ``section.key=value`` into the mapping, the value read as YAML.

    Raises:
        ConfigError: an override has another form.
    """
    for override in overrides:
        _apply_override(tree, override)


def checked(kind: type[AnyConfig], tree: dict[str, Any], where: str) -> AnyConfig:
    """Return the config of a mapping.

    Args:
        kind: which config it is.
        tree: as it stands in a file.
        where: what the message begins with.

    Raises:
        ConfigError: it names an unknown key, or breaks a rule; the message lists every fault.
    """
    _refuse_credentials(tree, ())
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(fault, kind)}" for fault in error.errors())
        raise ConfigError(f"{where}:\n{faults}") from error


def _refuse_credentials(value: Any, where: tuple[str, ...]) -> None:
    """Refuse a user or a password in a URI, wherever it stands, and do not repeat it.

    A config is stored with the run, shown in its report and sent to clusters as
    the metadata of a job.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_credentials(inner, (*where, str(key)))
    elif isinstance(value, list):
        for inner in value:
            _refuse_credentials(inner, where)
    elif isinstance(value, str) and _URI_USER.search(value):
        raise ConfigError(
            f"{'.'.join(where)} carries a user or a password in its URI; put credentials into the "
            "environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, HF_TOKEN)."
        )


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: write section.key=value.")
    *parents, leaf = key.strip().split(".")
    node = tree
    for name in parents:
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {name} is a value, not a section.")
        node = child
    try:
        node[leaf] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not YAML ({error}).") from error


def _fault(fault: Any, kind: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = did_you_mean(str(fault["loc"][-1]), _known_keys(fault["loc"], kind))
        return f"{where} is not a known key{near}"
    if fault["type"] == "missing":
        return f"{where} is required and has no default."
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    said = f"{where} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    if fault["type"] == "literal_error":
        near = did_you_mean(str(fault["input"]), _QUOTED.findall(fault["ctx"]["expected"]))
        return f"{said}{near or '.'}"
    return f"{said}."


def _known_keys(loc: tuple[int | str, ...], kind: type[BaseModel]) -> list[str]:
    model = kind
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
