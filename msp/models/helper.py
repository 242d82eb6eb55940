"""Checkpoints that a baseline writes with in the frozen LM's place: found, checked, loaded.

They were trained for a task of their own, so a text reaches them as it did
there: whole, with the marks that their tokenizer puts around one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerBase

from msp.config import ModelConfig
from msp.errors import CheckpointError, ConfigError
from msp.models.frozen_lm import FrozenLM, load_found_lm
from msp.models.lm_files import LMFiles, find_lm, ids_inside_line, read_config, read_tokenizer
from msp.models.lm_folder import find_folder, weight_files
from msp.models.precision import resolve_dtype

_MASKED_LM = "ForMaskedLM"


@dataclass(frozen=True)
class MaskedLM:
    """A loaded masked LM: evaluation mode, no parameter asks for a gradient."""

    model: Any
    tokenizer: PreTrainedTokenizerBase

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device


def find_helper(name: str, *, setting: str, wanted: str, seq2seq_only: bool = False) -> LMFiles:
    """Return a checkpoint that writes text, without its weights.

    Args:
        name: a local folder or hub id.
        setting: what the user named it in.
        wanted: what to name there, for messages.
        seq2seq_only: refuse causal LMs.

    Raises:
        ConfigError: it is not there, is of another architecture, or has no safetensors weights.
    """
    try:
        files = find_lm(ModelConfig(name=name), setting=setting)
        weight_files(files.path, name)
    except CheckpointError as error:
        raise ConfigError(f"{setting} should be {wanted}: {error}") from error
    if seq2seq_only and not files.is_encoder_decoder:
        raise ConfigError(
            f"{setting} is {name}, which is {files.config.model_type}, a causal LM; name {wanted}."
        )
    return dataclasses.replace(files, special_tokens=True)


def load_helper(files: LMFiles, *, dtype: str) -> FrozenLM:
    """Load the weights of a helper; as :func:`msp.models.frozen_lm.load_frozen_lm`."""
    lm = load_found_lm(files, dtype=dtype)
    # Marian's padding token would often be the likeliest: its own generation forbids it so.
    bias = getattr(lm.model, "final_logits_bias", None)
    forbidden = lm.model.generation_config.bad_words_ids or ()
    if bias is not None:
        bias[:, [ids[0] for ids in forbidden if len(ids) == 1]] = -math.inf
    return lm


def is_masked_lm(name: str, *, setting: str, wanted: str) -> bool:
    """Tell whether a checkpoint fills masks, by the architecture that its config names.

    Raises:
        ConfigError: it is not there, or its config cannot be read.
    """
    asked = ModelConfig(name=name)
    try:
        config = read_config(asked, find_folder(asked, setting=setting))
    except CheckpointError as error:
        raise ConfigError(f"{setting} should be {wanted}: {error}") from error
    return any(kind.endswith(_MASKED_LM) for kind in config.architectures or ())


def find_masked_lm(name: str, *, setting: str, wanted: str) -> tuple[PreTrainedTokenizerBase, int]:
    """Return a masked LM's tokenizer, and how many tokens of a text it reads at most.

    Raises:
        ConfigError: it has no safetensors weights, or no tokenizer with a mask.
    """
    config = ModelConfig(name=name)
    try:
        folder = find_folder(config, setting=setting)
        weight_files(folder, name)
        tokenizer = read_tokenizer(config, folder)
        positions = getattr(read_config(config, folder), "max_position_embeddings", None)
    except CheckpointError as error:
        raise ConfigError(f"{setting} should be {wanted}: {error}") from error
    if tokenizer.mask_token is None:
        raise ConfigError(f"{setting} is {name}, whose tokenizer has no mask; name {wanted}.")
    # RoBERTa has two positions more than it reads, and its tokenizer knows.
    return tokenizer, int(min(positions or tokenizer.model_max_length, tokenizer.model_max_length))


def load_masked_lm(name: str, *, dtype: str) -> MaskedLM:
    """Load a masked LM with every parameter frozen, on a GPU where there is one.

    Args:
        name: a local folder or hub id.
        dtype: as ``model.dtype``.

    Raises:
        CheckpointError: its weights cannot be loaded.
    """
    config = ModelConfig(name=name)
    folder = find_folder(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    transformers.utils.logging.disable_progress_bar()
    try:
        model = AutoModelForMaskedLM.from_pretrained(
            folder,
            dtype=resolve_dtype(dtype, device),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except Exception as error:  # transformers, safetensors and torch each raise their own
        raise CheckpointError(f"model {name}: its weights cannot be loaded ({error}).") from error
    model.requires_grad_(False)
    return MaskedLM(model.eval().to(device), read_tokenizer(config, folder))


def whole_words(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the tokens that are a word by themselves -> that word.

    A token is one where the word after another word is this token and nothing else:
    true for every kind of tokenizer, whatever marks its pieces of words carry.
    """
    special = set(tokenizer.all_special_ids)
    ids = [token for token in range(len(tokenizer)) if token not in special]
    texts = [text.strip() for text in tokenizer.batch_decode([[token] for token in ids])]
    asked = [(token, text) for token, text in zip(ids, texts, strict=True) if text.isalpha()]
    encoded = ids_inside_line(tokenizer, [text for _, text in asked])
    return {
        token: text for (token, text), row in zip(asked, encoded, strict=True) if row == [token]
    }
