"""Held-out loss of any causal LM by source of text, comparable between tokenizers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch

from msp.models.frozen_lm import FrozenLM
from msp.models.pretrain.corpus import read_inputs
from msp.models.pretrain.mixture import Mixture, build_corpora, held_out_streams
from msp.models.pretrain.network import LanguageModelLoss
from msp.models.pretrain.packing import TokenRow, write_tokens

_NUM_DOCUMENTS = 60
_NUM_TOKENS = 8_192
_ROW_TOKENS = 256
_ROWS_AT_ONCE = 4


def held_out_documents(inputs: Sequence[Path], *, seed: int) -> dict[str, list[str]]:
    """The first held-out documents of each source: the ones that pre-training leaves out.

    Args:
        inputs: what the model was pre-trained on.
        seed: of the pre-training, for the task-shaped forms.
    """
    _, held_out = build_corpora(*read_inputs(inputs))
    streams = held_out_streams(Mixture(held_out, seed, {}), held_out)
    return {name: list(islice(documents, _NUM_DOCUMENTS)) for name, documents in streams.items()}


def held_out_losses(
    lm: FrozenLM, documents: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, float]]:
    """Loss of each source, as `nats_per_token` and as `bits_per_byte`.

    Bits per byte compare models with different tokenizers; nats a token do not.
    """
    loss = LanguageModelLoss(lm.model)
    found = {}
    for name, texts in documents.items():
        row, bytes_per_token = _pack(lm, list(texts))
        if row is not None:
            nats = _mean_loss(loss, row, lm.device)
            bits = nats / math.log(2) / bytes_per_token
            found[name] = {"nats_per_token": round(nats, 4), "bits_per_byte": round(bits, 4)}
    return found


def _pack(lm: FrozenLM, texts: list[str]) -> tuple[TokenRow | None, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "held_out.bin"
        num_tokens = write_tokens(texts, lm.tokenizer, path, 1 << 62)
        row = TokenRow([path]) if num_tokens >= 2 else None
    return row, sum(len(text.encode()) for text in texts) / max(num_tokens, 1)


@torch.no_grad()
def _mean_loss(loss: LanguageModelLoss, row: TokenRow, device: torch.device) -> float:
    length = min(_ROW_TOKENS, len(row) - 1)
    num_rows = min(_NUM_TOKENS, len(row) - 1) // length
    parts = torch.split(row.batch(0, num_rows, length).to(device), _ROWS_AT_ONCE)
    return sum(float(loss(part)) * len(part) for part in parts) / num_rows
