"""The input embeddings of a frozen LM without the rest, for an engine that loads the LM itself."""

from __future__ import annotations

import safetensors
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from msp.config import ModelConfig
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.models.lm_files import LMFiles, find_lm
from msp.models.lm_folder import weight_files
from msp.models.precision import resolve_dtype


class EmbeddingsOnly(nn.Module):
    """Stands where an LM stands, and can embed tokens."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def get_input_embeddings(self) -> nn.Module:
        """Return what transformers' models return under this name."""
        return self.embedding


def load_embeddings(config: ModelConfig) -> FrozenLM:
    """Load the embeddings of a decoder-only checkpoint on the CPU; memory of one tensor.

    An LM whose embeddings are more than a table (Gemma's are scaled), or stand under a
    name that cannot be told, is loaded whole for a moment.

    Raises:
        CheckpointError: as for :func:`msp.models.frozen_lm.load_frozen_lm`.
    """
    files = find_lm(config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            files.config, trust_remote_code=config.trust_remote_code
        )
    embedding = model.get_input_embeddings()
    name = next(name for name, p in model.named_parameters() if p is embedding.weight)
    table = _read(files, name) if type(embedding) is nn.Embedding else None
    if table is None:
        embedding = load_frozen_lm(config, device="cpu").embedding
    else:
        dtype = resolve_dtype(config.dtype, torch.device("cpu"))
        embedding = nn.Embedding(table.shape[0], table.shape[1], _weight=table.to(dtype))
    return FrozenLM(EmbeddingsOnly(embedding).requires_grad_(False).eval(), files)


def _read(files: LMFiles, name: str) -> Tensor | None:
    """Return the parameter from the weight files, if one tensor alone ends as its name does.

    A checkpoint may hold the LM with or without the prefix of its base model.
    """
    ending = ".".join(name.split(".")[-2:])
    found: list[Tensor] = []
    for path in weight_files(files.path, files.name):
        with safetensors.safe_open(path, framework="pt") as stream:
            found += [
                stream.get_tensor(key)
                for key in stream.keys()  # noqa: SIM118  # no mapping
                if key == ending or key.endswith(f".{ending}")
            ]
    return found[0] if len(found) == 1 else None
