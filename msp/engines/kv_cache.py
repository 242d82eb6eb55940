"""Attention caches that can follow their rows: repeated for a unit's candidates, thinned out later.

transformers' own cache copies every key and value for each new token; on
one CPU core that copy costs more than the model. Here a row's room is set
aside once.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed
    """A cache layer that writes new keys and values into room it already has.

    Args:
        keys: [N, heads, C, head size], room for C positions.
        values: the same for values.
        length: how many of the positions are filled.
    """

    def __init__(self, keys: Tensor, values: Tensor, length: int) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self._room = (keys, values)
        self._show(length)

    @classmethod
    def continuing(cls, layer: DynamicLayer, rows: Tensor, room: int) -> RoomyLayer:
        """Return a layer whose row n continues row ``rows[n]`` of a filled one by ``room`` more."""
        length = layer.get_seq_length()
        keys = _with_room(layer.keys, rows, length + room)
        return cls(keys, _with_room(layer.values, rows, length + room), length)

    @classmethod
    def empty(cls, layer: DynamicLayer, num_rows: int, room: int) -> RoomyLayer:
        """Return an empty layer of the filled one's kind, for other rows."""
        shapes = [(num_rows, t.shape[1], room, t.shape[3]) for t in (layer.keys, layer.values)]
        return cls(layer.keys.new_empty(shapes[0]), layer.values.new_empty(shapes[1]), 0)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append [N, heads, T, head size] and return all keys and values so far."""
        start, end = self._length, self._length + key_states.shape[-2]
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, start:end] = states
        self._show(end)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep the given rows [M], in this order."""
        capacity = self._room[0].shape[-2]
        keys, values = (_with_room(t, beam_idx, capacity) for t in (self.keys, self.values))
        self._room = (keys, values)
        self._show(self._length)

    def _show(self, length: int) -> None:
        self._length = length
        self.keys, self.values = (room[:, :, :length] for room in self._room)


def _with_room(states: Tensor, rows: Tensor, capacity: int) -> Tensor:
    shape = (rows.numel(), states.shape[1], capacity, states.shape[3])
    roomy = states.new_empty(shape)
    torch.index_select(states, 0, rows, out=roomy[:, :, : states.shape[2]])
    return roomy


def repeat_cache(cache: Cache, rows: Tensor, *, room: int) -> Cache:
    """Return a cache whose row n continues row ``rows[n]`` of the given one, which stays as it is.

    Args:
        cache: filled by one forward pass over the units.
        rows: [N] int64.
        room: how many tokens will be generated; more than that fails.
    """
    if isinstance(cache, EncoderDecoderCache):
        return EncoderDecoderCache(
            repeat_cache(cache.self_attention_cache, rows, room=room),
            repeat_cache(cache.cross_attention_cache, rows, room=0),
        )
    repeated = copy.copy(cache)
    repeated.layers = [_repeat_layer(layer, rows, room) for layer in cache.layers]
    return repeated


def _repeat_layer(layer: Any, rows: Tensor, room: int) -> Any:
    if type(layer) is DynamicLayer and layer.get_seq_length():
        return RoomyLayer.continuing(layer, rows, room)
    # Sliding windows, recurrent states and empty layers keep their own kind; each makes new
    # tensors when it is reordered, so a shallow copy leaves the original as it was.
    own = copy.copy(layer)
    own.reorder_cache(rows)
    return own
