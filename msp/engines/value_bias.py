"""Asked slot values made likelier while they are written: each one's next token, until it stands.

A small LM begins an asked name and wanders off. While a value is missing from a
row, the token that begins it, or goes on with what the row has begun, gets a
bonus, and the tokens that would end the text lose as much (contextual biasing
as in speech recognition: Williams et al., Interspeech 2018). What the LM thinks
still decides where, how and among what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msp.models.lm_files import ids_inside_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def value_tokens(tokenizer: PreTrainedTokenizerBase, values: Sequence[str]) -> list[list[int]]:
    """Return each value's tokens as they stand inside a line; blank values have none."""
    return ids_inside_line(tokenizer, [value for value in values if value.strip()])


class ValueBias:
    """The bonus of N rows, each with up to M values of up to L tokens.

    Args:
        values: per unit the tokens of its values; units without any get no bonus.
        units: [N] int64, the unit of each row.
        ends: the tokens that end a row.
        bonus: in nats.
    """

    def __init__(
        self,
        values: Sequence[Sequence[Sequence[int]]],
        units: Tensor,
        *,
        ends: Tensor,
        bonus: float,
    ) -> None:
        num_values = max(1, *(len(found) for found in values))
        longest = max((len(value) for found in values for value in found), default=1)
        tokens = torch.full((len(values), num_values, longest), -1, dtype=torch.int64)
        for unit, found in enumerate(values):
            for place, value in enumerate(found):
                tokens[unit, place, : len(value)] = torch.tensor(value, dtype=torch.int64)
        tokens = tokens.to(units.device)
        self._tokens = tokens[units]
        self._lengths = (self._tokens >= 0).sum(dim=-1)
        self._reached = torch.zeros_like(self._lengths)
        self._missing = self._lengths > 0
        self._ends = ends
        self._bonus = bonus

    def raise_scores(self, scores: Tensor) -> Tensor:
        """Return scores [N, V] with the bonus of the next tokens, and without that of ends."""
        following = self._following()
        # Another value may have the same next token: the greatest of what a token gets counts.
        raised = scores.gather(1, following) + self._bonus * self._missing
        scores = scores.scatter_reduce(1, following, raised, reduce="amax")
        unfinished = self._missing.any(dim=1, keepdim=True)
        scores[:, self._ends] -= self._bonus * unfinished
        return scores

    def advance(self, tokens: Tensor) -> None:
        """Take note of the token [N] that each row got."""
        goes_on = tokens[:, None] == self._following()
        begins = tokens[:, None] == self._tokens[..., 0]
        self._reached = torch.where(goes_on, self._reached + 1, begins.long())
        self._missing &= self._reached < self._lengths
        # What stands in full is not gone on with.
        self._reached = self._reached.minimum(self._lengths - 1).clamp(min=0)

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given [M] int64."""
        self._tokens, self._lengths = self._tokens[rows], self._lengths[rows]
        self._reached, self._missing = self._reached[rows], self._missing[rows]

    def _following(self) -> Tensor:
        """Return [N, M], the token that each value goes on with; any, where there is no value."""
        return self._tokens.gather(2, self._reached[..., None])[..., 0].clamp(min=0)


class RowBias:
    """What :class:`ValueBias` does, of one row alone, for engines that hand over one at a time.

    Args:
        values: each one's tokens.
        ends: the tokens that end the row.
        bonus: in nats.
    """

    def __init__(
        self, values: Sequence[Sequence[int]], *, ends: Sequence[int], bonus: float
    ) -> None:
        self._values = [tuple(value) for value in values if value]
        self._ends, self._bonus = list(ends), bonus
        self._seen = 0
        self._missing = dict.fromkeys(self._values, 0)

    def __call__(self, output_ids: Sequence[int], logits: Tensor) -> Tensor:
        """Return logits [V] of the token after ``output_ids``, changed in place."""
        if len(output_ids) < self._seen:  # vLLM puts off a row that finds no room, and begins anew
            self._seen, self._missing = 0, dict.fromkeys(self._values, 0)
        for token in output_ids[self._seen :]:
            self._advance(token)
        self._seen = len(output_ids)
        following = {value[reached] for value, reached in self._missing.items()}
        if following:
            logits[list(following)] += self._bonus
            logits[self._ends] -= self._bonus
        return logits

    def _advance(self, token: int) -> None:
        for value, reached in list(self._missing.items()):
            reached = reached + 1 if value[reached] == token else int(value[0] == token)
            if reached == len(value):
                del self._missing[value]
            else:
                self._missing[value] = reached
