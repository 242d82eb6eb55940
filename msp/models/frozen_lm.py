"""The large language model that writes and never learns, loaded with every parameter frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerBase

from msp.config import ModelConfig
from msp.errors import CheckpointError
from msp.models.lm_files import LMFiles, find_lm
from msp.models.lm_folder import weight_files
from msp.models.precision import resolve_dtype


@dataclass(frozen=True)
class FrozenLM:
    """A loaded frozen LM: evaluation mode, no parameter asks for a gradient.

    Args:
        model: the transformers model.
        files: where it came from; the properties below are its.
    """

    model: Any
    files: LMFiles

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, with a padding token."""
        return self.files.tokenizer

    @property
    def is_encoder_decoder(self) -> bool:
        """Seq2seq (true) or causal (false)."""
        return self.files.is_encoder_decoder

    @property
    def hidden_size(self) -> int:
        """Width of the input embeddings."""
        return self.files.hidden_size

    @property
    def max_positions(self) -> int:
        """Most positions of one sequence, soft prompt included."""
        return self.files.max_positions

    @property
    def content_hash(self) -> str:
        """sha256 over config and weights; computed at first use."""
        return self.files.content_hash

    @property
    def name(self) -> str:
        """``model.name`` of the config."""
        return self.files.name

    @property
    def device(self) -> torch.device:
        """Where the input embeddings are."""
        device: torch.device = self.embedding.weight.device
        return device

    @property
    def embedding(self) -> Any:
        """The input embedding module, token ids [..] -> [.., H], as the first layer takes them."""
        return input_embedding(self.model, is_encoder_decoder=self.is_encoder_decoder)


def input_embedding(model: Any, *, is_encoder_decoder: bool) -> Any:
    """Return what embeds token ids as a model's first layer takes them ready-made."""
    table = model.get_input_embeddings()
    if not is_encoder_decoder:
        return table
    # Marian's and Pegasus' encoders scale the embeddings of ids, but not ready ones.
    scale = float(getattr(model.get_encoder(), "embed_scale", 1.0))
    return table if scale == 1.0 else _ScaledEmbedding(table, scale)


class _ScaledEmbedding:
    """An embedding table whose rows are used as a multiple of themselves."""

    def __init__(self, table: nn.Embedding, scale: float) -> None:
        self.weight = table.weight
        self._table = table
        self._scale = scale

    def __call__(self, ids: Tensor) -> Tensor:
        """Return [.., H] for token ids [..]."""
        rows: Tensor = self._table(ids)
        return rows * self._scale


def load_frozen_lm(config: ModelConfig, *, device: str = "auto") -> FrozenLM:
    """Load the checkpoint of ``model`` with every parameter frozen, on a device.

    Args:
        config: which checkpoint, and in which number format.
        device: a torch device; ``auto`` is a GPU where there is one.

    Raises:
        CheckpointError: it is not there, is neither causal nor seq2seq, has no
            safetensors weights, or cannot be read.
    """
    return load_found_lm(find_lm(config), dtype=config.dtype, device=device)


def load_found_lm(files: LMFiles, *, dtype: str = "auto", device: str = "auto") -> FrozenLM:
    """Load the weights of a checkpoint that was found; as :func:`load_frozen_lm`."""
    target = torch.device(_device_name(device))
    weight_files(files.path, files.name)
    transformers.utils.logging.disable_progress_bar()
    loader = AutoModelForSeq2SeqLM if files.is_encoder_decoder else AutoModelForCausalLM
    try:
        model = loader.from_pretrained(
            files.path,
            config=files.config,
            dtype=resolve_dtype(dtype, target),
            use_safetensors=True,
            trust_remote_code=files.trust_remote_code,
            local_files_only=True,
        )
    except Exception as error:  # transformers, safetensors and torch each raise their own
        raise CheckpointError(
            f"model {files.name}: the weights in {files.path} cannot be loaded ({error})."
        ) from error
    model.requires_grad_(False)
    model.eval()
    return FrozenLM(model.to(target), files)


def _device_name(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
