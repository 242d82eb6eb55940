"""The LM that ships is small, complete, and does what its card says."""

from __future__ import annotations

from pathlib import Path

from msp.config import ModelConfig, TaskConfig
from msp.models.evaluate import compare
from msp.models.frozen_lm import load_frozen_lm
from msp.models.lm_folder import BUILTIN_PATH


def test_it_loads_by_its_name_and_is_within_its_limits() -> None:
    lm = load_frozen_lm(ModelConfig(name="builtin"), device="cpu")
    assert sum(parameter.numel() for parameter in lm.model.parameters()) <= 16_000_000
    assert sum(path.stat().st_size for path in BUILTIN_PATH.iterdir()) < 32 * 2**20
    assert lm.max_positions >= 512
    assert 4096 <= len(lm.tokenizer) <= 8192
    assert lm.model.config.architectures == ["LlamaForCausalLM"]


def test_every_text_survives_its_tokenizer() -> None:
    tokenizer = load_frozen_lm(ModelConfig(name="builtin"), device="cpu").tokenizer
    text = "1) wifi; ask for how [25 to 9 p.m.;  Zoë Świątek 🙂]: what\tis 3,456.70?\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize("3456") == ["3", "4", "5", "6"]


def test_most_requested_values_occur_in_its_raw_candidates() -> None:
    task = TaskConfig(name="jsonl", path="sample:front_desk")
    control = compare(["builtin"], task, num_requests=48)["builtin"]["control"]
    assert control["values_occurring"] >= 0.65
    assert control["attributes_carried"] >= 0.3


def test_its_card_names_data_figures_and_limits() -> None:
    card = (Path(BUILTIN_PATH) / "CARD.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Control", "## Held-out loss", "## Samples", "not good for"):
        assert heading in card
