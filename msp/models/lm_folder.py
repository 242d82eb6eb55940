"""A frozen LM's folder: found on disk or fetched from the hub, and hashed.

Without transformers, so that a run that is finished is known to be the same
one before anything heavy is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from msp.config import ModelConfig
from msp.errors import CheckpointError

BUILTIN_PATH = Path(__file__).parent / "builtin"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.spm", "*.txt", "*.jinja", "*.py"]
HASHED_CHUNK_BYTES = 1 << 22
UNSAFE_SUFFIXES = {".bin", ".pt", ".pth", ".h5", ".ckpt"}


def find_folder(config: ModelConfig, *, setting: str = "model.name") -> Path:
    """Return the local folder of ``model``, fetched from the hub where it is a hub id.

    Args:
        config: which checkpoint.
        setting: what the user named it in, for messages.

    Raises:
        CheckpointError: it is not there, cannot be had, or is no checkpoint.
    """
    if config.name == "builtin":
        path = BUILTIN_PATH
    else:
        path = Path(config.name).expanduser()
        if not path.exists() and _is_hub_id(config.name):
            return _fetch_from_hub(config, setting)
    if not path.is_dir():
        found = "is a file" if path.is_file() else "is not there"
        raise CheckpointError(
            f"{setting} is {config.name}, but the folder {path} {found}; give builtin, the folder "
            "of a checkpoint (config.json, *.safetensors, tokenizer files), or a hub id."
        )
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"model {config.name}: {path} holds no config.json; a checkpoint folder has "
            "config.json, *.safetensors and tokenizer files."
        )
    return path


def _is_hub_id(name: str) -> bool:
    """Tell ``owner/model`` from a path: that starts with . / ~, goes deeper, or its top exists."""
    if not HUB_ID.fullmatch(name):
        return False
    owner, _, model = name.partition("/")
    return not (model and Path(owner).exists())


def _fetch_from_hub(config: ModelConfig, setting: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = HUB_FILES if config.trust_remote_code else HUB_FILES[:-1]
    try:
        folder = snapshot_download(
            config.name, revision=config.revision, allow_patterns=patterns, etag_timeout=10
        )
    except Exception as error:
        at = f" at revision {config.revision}" if config.revision else ""
        raise CheckpointError(
            f"{setting} is {config.name}: there is no such local folder, and as a hub id{at} it "
            f"cannot be had ({first_line(error)}); check the name and the network, or give a "
            "local folder."
        ) from error
    return Path(folder)


def folder_hash(path: Path, name: str) -> str:
    """Return the sha256 over a checkpoint's config and weights.

    Raises:
        CheckpointError: there are no weights, or one file is missing.
    """
    digest = hashlib.sha256()
    for file in [path / "config.json", *weight_files(path, name)]:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while chunk := stream.read(HASHED_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def weight_files(path: Path, name: str) -> list[Path]:
    """Return the safetensors files of a checkpoint folder, in a fixed order.

    Raises:
        CheckpointError: there are none, or the index names one that is missing.
    """
    index = path / "model.safetensors.index.json"
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"model {name}: {index} is damaged ({error}).") from error
        missing = [part for part in names if not (path / part).is_file()]
        if not missing:
            return [path / part for part in names]
        raise CheckpointError(f"model {name}: {index} names {missing[0]}, which is not there.")
    other = [p.name for p in sorted(path.iterdir()) if p.suffix in UNSAFE_SUFFIXES]
    found = f"; {', '.join(other)} is not read, because it can run code" if other else ""
    raise CheckpointError(f"model {name}: {path} has no safetensors weights{found}.")


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
