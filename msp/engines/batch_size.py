"""How many units fit into the memory at once, reckoned before anything is computed.

A reckoning, with room to spare: where it is wrong, the engine notices that the
memory is full and takes fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from msp.models.frozen_lm import FrozenLM

# A GPU is one actor's, but a machine's memory is shared by all that run there.
_GPU_SHARE = 0.8
_CPU_SHARE = 0.25
# Scores of a row's next token: as the LM gives them, float32, penalised, and two of its sorting.
_SCORES_PER_ROW = 5
_SCORE_BYTES = 4
_MEMINFO = Path("/proc/meminfo")
# What a container of this process may use and uses (cgroup v2).
_CGROUP = Path("/sys/fs/cgroup")
_UNKNOWN_BYTES = 1 << 30


@dataclass(frozen=True)
class Footprint:
    """What an LM takes beside its weights, in bytes.

    Args:
        kept: for each position of a row, its keys and values in every layer.
        passing: for each position of a prompt, what one layer computes.
        scores: for each row, the scores of its next token.
    """

    kept: int
    passing: int
    scores: int

    @staticmethod
    def of(lm: FrozenLM) -> Footprint:
        """Return the footprint that follows from an LM's config."""
        config = lm.files.config.get_text_config()
        size = lm.model.dtype.itemsize
        # An LM without attention keeps less than this.
        heads = getattr(config, "num_attention_heads", None) or 1
        head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
        key_heads = getattr(config, "num_key_value_heads", None) or heads
        inner = getattr(config, "intermediate_size", None) or getattr(config, "d_ff", None)
        inner = inner or 4 * config.hidden_size
        return Footprint(
            kept=2 * config.num_hidden_layers * key_heads * head_size * size,
            passing=(8 * config.hidden_size + 3 * inner) * size,
            scores=_SCORES_PER_ROW * _SCORE_BYTES * config.vocab_size,
        )

    def unit(self, num_positions: int, num_candidates: int, max_new_tokens: int) -> int:
        """Return what a unit takes whose candidates copy its prompt, which some LMs' do.

        Args:
            num_positions: of its soft prompt and context.
            num_candidates: rows that continue it.
            max_new_tokens: of each row.
        """
        prompt = num_positions * (self.kept + self.passing)
        row = (num_positions + max_new_tokens) * self.kept + self.scores
        return prompt + num_candidates * row


def usable_bytes(device: torch.device) -> int:
    """Return how much memory a batch may take on a device right now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(_GPU_SHARE * (free + held))
    return int(_CPU_SHARE * min(_available_bytes(), _container_bytes()))


def _available_bytes() -> int:
    if not _MEMINFO.is_file():  # no Linux
        return _UNKNOWN_BYTES
    found = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
    return int(found["MemAvailable"].split()[0]) * 1024


def _container_bytes() -> float:
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not (limit.is_file() and used.is_file()) or limit.read_text().strip() == "max":
        return float("inf")
    return max(0, int(limit.read_text()) - int(used.read_text()))
