"""Documents as one long row of token ids on disk, and the batches that are cut from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from msp.errors import TaskDataError

_ENCODE_AT_ONCE = 512


def write_tokens(
    documents: Iterable[str], tokenizer: PreTrainedTokenizerFast, path: Path, num_tokens: int
) -> int:
    """`num_tokens` ids, or all there are, lie at `path` as uint16, documents ended by EOS.

    The file appears whole or not at all.

    Returns:
        how many ids were written.
    """
    partial = path.with_suffix(".partial")
    written = 0
    with partial.open("wb") as file:
        for ids in _encoded(documents, tokenizer):
            row = np.asarray(ids[: num_tokens - written], dtype=np.uint16)
            file.write(row.tobytes())
            written += len(row)
            if written == num_tokens:
                break
    os.replace(partial, path)
    return written


def _encoded(documents: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> Iterator[list[int]]:
    stream = iter(documents)
    while batch := list(islice(stream, _ENCODE_AT_ONCE)):
        ids = tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
        yield [token for row in ids for token in (*row, tokenizer.eos_token_id)]


class TokenRow:
    """The packed ids of several files as one row that starts over at its end."""

    def __init__(self, paths: list[Path]) -> None:
        self._parts = [np.memmap(path, dtype=np.uint16, mode="r") for path in paths]
        self._ends = np.cumsum([len(part) for part in self._parts])
        if not paths or self._ends[-1] < 2:
            raise TaskDataError(
                f"data.inputs: {len(paths)} packed files hold fewer than 2 tokens; give more text."
            )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, start: int, num_rows: int, length: int) -> Tensor:
        """[num_rows, length + 1] ids from `start` on; a row's last id is the next row's first."""
        ids = self._slice(start, num_rows * length + 1)
        rows = [ids[i * length : (i + 1) * length + 1] for i in range(num_rows)]
        return torch.from_numpy(np.stack(rows).astype(np.int64))

    def _slice(self, start: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
        found = []
        while count:
            start %= len(self)
            part = int(np.searchsorted(self._ends, start, side="right"))
            offset = start - (int(self._ends[part - 1]) if part else 0)
            piece = self._parts[part][offset : offset + count]
            found.append(piece)
            start += len(piece)
            count -= len(piece)
        return np.concatenate(found)
