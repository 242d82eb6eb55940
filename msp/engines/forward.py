"""What both kinds of LM need before a forward pass: padded prompts, and arguments they accept."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

_LIKE = 0.9
_CPU_POSITIONS = 512
_GPU_POSITIONS = 16384


def pad_prompts(prompts: Sequence[Tensor], *, left: bool) -> tuple[Tensor, Tensor]:
    """Return prompts [L, H] as one batch [U, T, H] padded with zeros, and its mask [U, T] bool."""
    longest = max(prompt.shape[0] for prompt in prompts)
    embeddings = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[1])
    mask = torch.zeros(len(prompts), longest, dtype=torch.bool, device=embeddings.device)
    for row, prompt in enumerate(prompts):
        length = prompt.shape[0]
        columns = slice(longest - length, longest) if left else slice(0, length)
        embeddings[row, columns] = prompt
        mask[row, columns] = True
    return embeddings, mask


def like_lengths(prompts: Sequence[Tensor], *, least: int) -> list[slice]:
    """Return runs of prompts that are computed together, so that little of it is padding.

    Args:
        prompts: [L, H], the longest first.
        least: positions in a run at least; fewer would leave the device waiting.
    """
    starts = [0]
    for place, prompt in enumerate(prompts):
        longest = len(prompts[starts[-1]])
        enough = (place - starts[-1]) * longest >= least
        if enough and len(prompt) < _LIKE * longest:
            starts.append(place)
    return [slice(*edges) for edges in pairwise([*starts, len(prompts)])]


def positions_at_least(device: torch.device) -> int:
    """Return how many positions keep a device busy in one forward pass."""
    return _GPU_POSITIONS if device.type == "cuda" else _CPU_POSITIONS


def accepted(model: Any, **arguments: Any) -> dict[str, Any]:
    """Return those arguments that the model's forward pass names.

    LMs with relative positions (MPT, Bloom) take no ``position_ids``, and not every LM
    can leave out the logits of the prompt.
    """
    known = inspect.signature(model.forward).parameters
    return {name: value for name, value in arguments.items() if name in known}
