"""Where prompts start: on the description's tokens, on real vocabulary rows, or on noise."""

from __future__ import annotations

import pytest
import torch

from msp.config import PromptsConfig
from msp.models.frozen_lm import FrozenLM
from msp.prompts.initialisers import initial_prompts
from msp.prompts.soft import SoftPrompts
from msp.prompts.text import instruction_text
from msp.tasks.ontology import Ontology


def start(lm: FrozenLM, ontology: Ontology, seed: int = 1, **changes: object) -> SoftPrompts:
    config = PromptsConfig.model_validate({"attribute_length": 40, **changes})
    return initial_prompts(lm, ontology, config, seed=seed)


def test_a_description_is_repeated_to_fill_the_prompt(llama: FrozenLM, ontology: Ontology) -> None:
    soft = start(llama, ontology)
    ids = llama.files.text_ids([ontology.all[3].description])[0]
    rows = llama.embedding.weight[torch.tensor((ids * 10)[:40])]
    assert torch.equal(soft.attributes[3], rows)


def test_the_instruction_starts_with_its_request_and_goes_on_with_vocabulary(
    llama: FrozenLM, ontology: Ontology
) -> None:
    soft = start(llama, ontology, instruction_length=300)
    ids = llama.files.text_ids([instruction_text(3)])[0]
    table = llama.embedding.weight
    assert torch.equal(soft.instruction[: len(ids)], table[torch.tensor(ids)])
    rest = soft.instruction[len(ids) :]
    assert len(rest) and all((row == table).all(dim=1).any() for row in rest)


def test_vocabulary_rows_are_real_and_not_special(llama: FrozenLM, ontology: Ontology) -> None:
    soft = start(llama, ontology, init="vocabulary")
    special = llama.embedding.weight[torch.tensor(llama.tokenizer.all_special_ids)]
    rows = soft.attributes.flatten(0, 1)
    assert not (rows[:, None] == special[None]).all(dim=2).any()
    assert all((row == llama.embedding.weight).all(dim=1).any() for row in rows)


def test_noise_has_the_spread_of_the_embeddings(llama: FrozenLM, ontology: Ontology) -> None:
    soft = start(llama, ontology, init="noise", instruction_length=200)
    spread = float(llama.embedding.weight.std())
    assert float(soft.instruction.detach().std()) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("init", ["description", "vocabulary", "noise"])
def test_the_same_seed_gives_the_same_prompts(
    llama: FrozenLM, ontology: Ontology, init: str
) -> None:
    one, two, other = (
        start(llama, ontology, seed, init=init, instruction_length=300) for seed in (1, 1, 2)
    )
    assert torch.equal(one.instruction, two.instruction)
    assert torch.equal(one.attributes, two.attributes)
    assert not torch.equal(one.instruction, other.instruction)
