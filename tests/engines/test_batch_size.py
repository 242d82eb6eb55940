"""A batch takes what the memory holds, as reckoned before it is computed."""

from __future__ import annotations

import pytest
import torch

from msp.config import GenerateConfig
from msp.engines import hf
from msp.engines.batch_size import Footprint, usable_bytes
from msp.engines.hf import HFEngine

AUTO = GenerateConfig(temperature=1.0, top_p=0.95, max_new_tokens=8)


def test_the_footprint_counts_the_bytes_of_the_keys_and_values(tiny_llama):
    ids = torch.zeros(3, 11, dtype=torch.long)
    cache = tiny_llama.model(input_ids=ids, use_cache=True).past_key_values
    held = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    assert Footprint.of(tiny_llama).kept * ids.numel() == held


def test_a_unit_with_more_candidates_takes_more(tiny_lm):
    footprint = Footprint.of(tiny_lm)
    one, two, long = footprint.unit(10, 1, 8), footprint.unit(10, 2, 8), footprint.unit(20, 1, 8)
    assert 0 < one < two and one < long


def test_some_memory_can_be_used():
    assert usable_bytes(torch.device("cpu")) > 1 << 20


@pytest.mark.parametrize(("room_for", "batches"), [(100, [6]), (2, [2, 2, 2]), (0, [1] * 6)])
def test_auto_takes_as_many_units_as_there_is_room_for(
    room_for, batches, tiny_llama, make_request, monkeypatch
):
    requests = [make_request(4 * i, num_candidates=2, context="x" * 20) for i in range(6)]
    expected = HFEngine(tiny_llama).generate(requests, AUTO)
    room = room_for * Footprint.of(tiny_llama).unit(24, 2, AUTO.max_new_tokens)
    monkeypatch.setattr(hf, "usable_bytes", lambda device: room)
    sizes = []
    generate = HFEngine._generate

    def counted(self, batch, token_ids, sampling):
        sizes.append(len(batch))
        return generate(self, batch, token_ids, sampling)

    monkeypatch.setattr(HFEngine, "_generate", counted)
    made = HFEngine(tiny_llama).generate(requests, AUTO)
    assert sizes == batches
    assert [[g.text for g in unit] for unit in made] == [[g.text for g in u] for u in expected]


def test_a_number_of_units_is_taken_as_it_is(tiny_llama, make_request, monkeypatch):
    monkeypatch.setattr(hf, "usable_bytes", lambda device: 0)
    requests = [make_request(i) for i in range(4)]
    engine = HFEngine(tiny_llama)
    sampling = AUTO.model_copy(update={"batch_size": 3})
    assert engine._num_units(requests, [1] * 4, sampling) == 3
    assert engine._num_units(requests, [1] * 4, AUTO) == 1
