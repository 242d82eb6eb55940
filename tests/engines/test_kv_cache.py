"""Caches that follow their rows."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import Cache, DynamicLayer

from msp.engines.kv_cache import RoomyLayer, repeat_cache


def filled_layer(num_rows, length):
    layer = DynamicLayer()
    layer.update(torch.randn(num_rows, 2, length, 4), torch.randn(num_rows, 2, length, 4))
    return layer


@given(rows=st.lists(st.integers(0, 3), min_size=1, max_size=6), data=st.data())
def test_a_roomy_layer_holds_what_transformers_own_layer_holds(rows, data):
    layer = filled_layer(4, 5)
    roomy = RoomyLayer.continuing(layer, torch.tensor(rows), room=4)
    layer.reorder_cache(torch.tensor(rows))
    for _ in range(4):
        new = torch.randn(2, roomy.keys.shape[0], 2, 1, 4)
        layer.update(*new)
        roomy.update(*new)
        last = roomy.keys.shape[0] - 1
        kept = torch.tensor(data.draw(st.lists(st.integers(0, last), min_size=1, max_size=5)))
        layer.reorder_cache(kept)
        roomy.reorder_cache(kept)
        assert torch.equal(layer.keys, roomy.keys) and torch.equal(layer.values, roomy.values)
        assert roomy.get_mask_sizes(1) == layer.get_mask_sizes(1)


def test_a_repeated_cache_leaves_the_original_as_it_was():
    cache = Cache(layers=[filled_layer(2, 3)])
    before = cache.layers[0].keys.clone()
    repeated = repeat_cache(cache, torch.tensor([1, 1, 0]), room=2)
    repeated.update(torch.ones(3, 2, 1, 4), torch.ones(3, 2, 1, 4), 0)
    assert torch.equal(cache.layers[0].keys, before)
    assert repeated.get_seq_length() == 4
