"""Prompts of like length are computed together, and putting the parts together changes nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.config import GenerateConfig
from msp.engines import forward
from msp.engines.forward import like_lengths
from msp.engines.hf import HFEngine

SAMPLED = GenerateConfig(temperature=1.0, top_p=0.95, max_new_tokens=12)


def prompts(lengths):
    return [torch.zeros(length, 1) for length in sorted(lengths, reverse=True)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 200))
def test_every_prompt_is_in_one_part_and_parts_are_large_enough(lengths, least):
    found = prompts(lengths)
    parts = like_lengths(found, least=least)
    assert [place for part in parts for place in range(part.start, part.stop)] == [
        *range(len(found))
    ]
    for part in parts[:-1]:
        assert (part.stop - part.start) * len(found[part.start]) >= least


def test_a_much_shorter_prompt_begins_a_part_of_its_own():
    assert like_lengths(prompts([100, 95, 60, 58, 20]), least=1) == [
        slice(0, 2), slice(2, 4), slice(4, 5),
    ]  # fmt: skip
    assert like_lengths(prompts([100, 95, 60, 58, 20]), least=250) == [slice(0, 3), slice(3, 5)]
    assert like_lengths(prompts([100, 20]), least=1000) == [slice(0, 2)]


@pytest.mark.parametrize("least", [1, 60])
def test_prompts_computed_in_parts_give_the_same_texts(least, tiny_lm, make_request, monkeypatch):
    requests = [make_request(i, num_candidates=1 + i % 3) for i in range(8)]
    whole, parted = HFEngine(tiny_lm), HFEngine(tiny_lm)
    expected = whole.generate(requests, SAMPLED)
    monkeypatch.setattr(forward, "_CPU_POSITIONS", least)
    made = parted.generate(requests, SAMPLED)
    assert [[g.text for g in unit] for unit in made] == [[g.text for g in u] for u in expected]
    before, after = whole.take_counts(), parted.take_counts()
    assert after["padding_positions"] < before["padding_positions"]
    assert parted.take_counts() == {}
