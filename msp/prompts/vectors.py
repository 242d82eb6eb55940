"""The sentence embeddings that contextual prompts are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from msp.config import PromptsConfig
from msp.models.encoder import load_encoder
from msp.records import Example

Vectors = Mapping[str, Tensor]
"""uid of an example -> [D] float32 of length 1."""


def example_vectors(prompts: PromptsConfig, examples: Iterable[Example]) -> Vectors:
    """Return the frozen embedding of each example's text; none where no prompt asks for any.

    Args:
        prompts: names the encoder.
        examples: a few hundred; all are held.

    Raises:
        CheckpointError: the encoder is not there.
    """
    if not prompts.has_contextual:
        return {}
    listed = list(examples)
    rows = load_encoder(prompts.contextual_encoder).encode([example.text for example in listed])
    return {e.uid: torch.from_numpy(row) for e, row in zip(listed, rows, strict=True)}
