"""What both kinds of LM need before a forward pass: padded prompts, and arguments they accept."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


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


def accepted(model: Any, **arguments: Any) -> dict[str, Any]:
    """Return those arguments that the model's forward pass names.

    LMs with relative positions (MPT, Bloom) take no ``position_ids``, and not every LM
    can leave out the logits of the prompt.
    """
    known = inspect.signature(model.forward).parameters
    return {name: value for name, value in arguments.items() if name in known}
