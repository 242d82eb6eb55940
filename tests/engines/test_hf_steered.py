"""Steering is the formula, token by token, for each candidate as if it were alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from msp.config import GenerateConfig
from msp.engines.decode import decode
from msp.engines.hf import HFEngine
from msp.engines.hf_steered import SteeredEngine, SteeredRows
from msp.models.frozen_lm import FrozenLM
from msp.models.lora import LoraBank

START = "Utterances:\n1)"
GREEDY = GenerateConfig(temperature=0.001, max_new_tokens=6)


class Bigrams:
    """Rows of an LM that knows of each token what comes next: a table of logits [V, V]."""

    def __init__(self, table: Tensor, tokens: Tensor) -> None:
        self._table = table
        self.logits = table[tokens]

    def step(self, tokens: Tensor) -> Tensor:
        self.logits = self._table[tokens]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        self.logits = self.logits[rows]


class NoBank(torch.nn.Module):
    """A bank that the planted experts do not need."""

    def active(self, rows: Tensor) -> torch.no_grad:
        return torch.no_grad()


def test_planted_bigrams_give_the_tokens_that_were_computed_by_hand() -> None:
    # Four tokens, 3 ends. The LM prefers 1 always; the expert wants 0 -> 2 -> 3.
    base = torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 4)
    expert = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]).float()
    anti = torch.zeros(4, 4)
    # z + alpha (z+ - z-) after 0: 1 is 1.0, 2 is alpha; after 2: 1 is 1.0, 3 is alpha.
    for alpha, expected in ((2.0, [2, 3]), (0.9, [1, 1, 1, 1])):
        zeros = torch.zeros(2, dtype=torch.int64)
        experts = Bigrams(torch.cat([expert, anti]), torch.tensor([0, 0, 4, 4]))
        experts.step = lambda tokens, e=experts: _step(e, tokens)  # type: ignore[method-assign]
        rows = SteeredRows(
            Bigrams(base, zeros),
            experts,
            NoBank(),  # type: ignore[arg-type]
            adapters=torch.tensor([0, 0, 1, 1]),
            owners=torch.tensor([0, 1, 0, 1]),
            weights=torch.tensor([alpha, alpha, -alpha, -alpha]),
        )
        stop = torch.tensor([False, False, False, True])
        sampling = GREEDY.model_copy(update={"max_new_tokens": 4})
        found = decode(rows, torch.arange(2), stop=stop, sampling=sampling)
        assert found.tokens == [expected, expected]


def _step(rows: Bigrams, tokens: Tensor) -> Tensor:
    """Step rows of which the first half is the expert's, the second the anti-expert's."""
    half = len(tokens) // 2
    rows.logits = rows._table[torch.cat([tokens[:half], tokens[half:] + 4])]
    return rows.logits


@pytest.fixture
def bank(tiny_lm: FrozenLM) -> LoraBank:
    bank = LoraBank(tiny_lm.model, rank=2, num_adapters=4)
    torch.manual_seed(1)
    for weight in bank.up.values():
        weight.data.normal_(std=0.2)
    return bank


def steered(make_request, unit_id: int, *pairs: tuple[int, float]):
    return dataclasses.replace(make_request(unit_id, soft=0), steering=pairs)


def test_weight_nought_writes_what_the_lm_alone_writes(tiny_lm, bank, make_request) -> None:
    requests = [steered(make_request, i, (i, 0.0), (3, -0.0)) for i in range(3)]
    sampling = GenerateConfig(temperature=1.0, max_new_tokens=8)
    engine = SteeredEngine(tiny_lm, bank, start=START)
    assert engine.generate(requests, sampling) == HFEngine(tiny_lm).generate(requests, sampling)


def test_a_greedy_text_follows_the_formula_computed_from_whole_passes(
    tiny_lm, bank, make_request
) -> None:
    pairs = ((2, 3.0), (1, -3.0))
    request = dataclasses.replace(steered(make_request, 1, *pairs), num_candidates=1)
    engine = SteeredEngine(tiny_lm, bank, start=START)
    found = engine.generate([request], GREEDY)[0][0]

    def logits(text: str, tokens: list[int]) -> Tensor:
        ids = tiny_lm.files.text_ids([text])[0]
        if tiny_lm.is_encoder_decoder:
            written = torch.tensor([[0, *tokens]])
            return tiny_lm.model(torch.tensor([ids]), decoder_input_ids=written).logits[0, -1]
        return tiny_lm.model(torch.tensor([ids + tokens])).logits[0, -1]

    tokens: list[int] = []
    with torch.inference_mode():
        while len(tokens) < found.num_tokens:
            total = logits(request.context, tokens)
            for adapter, weight in pairs:
                with bank.active(torch.tensor([adapter])):
                    total = total + weight * logits(START, tokens)
            tokens.append(int(total.argmax()))
    alone = HFEngine(tiny_lm).generate([request], GREEDY)[0][0]
    text = tiny_lm.tokenizer.decode(tokens, skip_special_tokens=True).partition("\n")[0]
    assert found.text == text.replace("\ufffd", "").strip()
    assert abs(found.logprob - alone.logprob) > 0.01


def test_a_text_does_not_depend_on_what_else_is_written(tiny_lm, bank, make_request) -> None:
    requests = [
        steered(make_request, 0, (0, 2.0), (1, -2.0)),
        steered(make_request, 1, (0, 1.0), (1, -1.0), (2, 1.0), (3, -1.0)),
        steered(make_request, 2, (2, 2.0), (3, -2.0)),
    ]
    sampling = GenerateConfig(temperature=1.0, max_new_tokens=10)
    engine = SteeredEngine(tiny_lm, bank, start=START)
    together = engine.generate(requests, sampling)
    for request, texts in zip(requests, together, strict=True):
        alone = engine.generate([request], sampling)[0]
        assert [g.text for g in alone] == [g.text for g in texts]
