"""Adapters: few parameters, no change at first, and each row of a batch by its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.models.lora import LoraBank


@pytest.fixture
def llama(tiny_llama_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")


@pytest.fixture
def t5(tiny_t5_path: Path) -> FrozenLM:
    return load_frozen_lm(ModelConfig(name=str(tiny_t5_path), dtype="float32"), device="cpu")


def trained(bank: LoraBank) -> LoraBank:
    torch.manual_seed(0)
    for weight in bank.up.values():
        weight.data.normal_(std=0.1)
    return bank


def test_a_bank_has_rank_times_in_plus_out_numbers_a_layer_and_adapter(llama: FrozenLM) -> None:
    bank = LoraBank(llama.model, rank=3, num_adapters=5)
    # Hidden size 32, feed-forward 64, two layers: four square matrices, three that are not.
    each = 4 * 3 * (32 + 32) + 3 * 3 * (32 + 64)
    assert sum(p.numel() for p in bank.parameters()) == 5 * 2 * each


def test_an_adapter_starts_as_no_change_and_changes_nothing_while_it_is_not_used(
    llama: FrozenLM,
) -> None:
    ids = torch.arange(8)[None]
    before = llama.model(ids).logits
    bank = LoraBank(llama.model, rank=2)
    bank.use()
    assert torch.equal(llama.model(ids).logits, before)
    trained(bank)
    assert not torch.allclose(llama.model(ids).logits, before)
    other = LoraBank(llama.model, rank=2)
    trained(other)
    bank._is_active = False
    assert torch.equal(llama.model(ids).logits, before)


def test_every_row_of_a_batch_uses_its_own_adapter(llama: FrozenLM) -> None:
    bank = trained(LoraBank(llama.model, rank=2, num_adapters=3))
    ids = torch.arange(8)[None].expand(4, -1)
    rows = torch.tensor([2, 0, 1, 0])
    with bank.active(rows):
        mixed = llama.model(ids).logits
    assert torch.equal(llama.model(ids).logits[0], llama.model(ids[:1]).logits[0])
    for place, row in enumerate(rows.tolist()):
        with bank.active(torch.tensor([row])):
            alone = llama.model(ids[:1]).logits[0]
        torch.testing.assert_close(mixed[place], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(mixed[0], mixed[1]) and torch.allclose(mixed[1], mixed[3])


def test_only_the_adapter_learns_in_both_kinds_of_lm(llama: FrozenLM, t5: FrozenLM) -> None:
    for lm, inputs in ((llama, {}), (t5, {"decoder_input_ids": torch.arange(3)[None]})):
        bank = LoraBank(lm.model, rank=2)
        bank.use()
        lm.model(torch.arange(8)[None], **inputs).logits.sum().backward()
        assert all(weight.grad is not None for weight in bank.up.values())
        assert all(parameter.grad is None for parameter in lm.model.parameters())
