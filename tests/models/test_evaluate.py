"""The evaluation tells a model that carries what was asked from one that does not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from msp.config import ModelConfig, TaskConfig
from msp.models.encoder import load_encoder
from msp.models.evaluate import AttributeClassifier, Control, _table, compare
from msp.models.frozen_lm import load_frozen_lm
from msp.models.held_out import held_out_documents, held_out_losses
from msp.records import Example


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    rows = [
        {"attributes": ["ride"], "text": f"a ride to stop {n}", "values": [f"stop {n}"]}
        for n in range(900)
    ]
    (tmp_path / "rides.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "talk.txt").write_text(
        "\n".join(f"chat\tHow are you, {n}?\tFine." for n in range(900))
    )
    return [tmp_path / "rides.jsonl", tmp_path / "talk.txt"]


def test_held_out_loss_of_random_weights_is_that_of_guessing(
    tiny_llama_path: Path, inputs: list[Path]
) -> None:
    documents = held_out_documents(inputs, seed=0)
    assert {"chat", "form_labelled_rides", "form_listed_rides"} <= set(documents)
    losses = held_out_losses(load_frozen_lm(ModelConfig(name=str(tiny_llama_path))), documents)
    # One token a byte, 259 tokens: 8 bits a byte and a little, whatever the text says.
    assert all(7.5 < loss["bits_per_byte"] < 9.5 for loss in losses.values())


def test_the_classifier_finds_what_it_learned_and_knows_its_limits() -> None:
    weather = [Example(f"w{n}", f"will it rain on day {n}", ("weather",)) for n in range(6)]
    food = [Example(f"f{n}", f"order {n} pizzas please", ("food",)) for n in range(6)]
    classifier = AttributeClassifier([*weather, *food], load_encoder("minilm", device="cpu"))
    texts = ["is rain expected", "two pizzas for me"]
    assert classifier.share_carried(texts, [("weather",), ("food",)]) == 1.0
    assert classifier.share_carried(texts, [("food",), ("weather",)]) == 0.0
    assert classifier.share_carried(texts, [("unknown",), ()]) is None


def test_two_models_are_compared_on_the_same_requests(tiny_llama_path: Path) -> None:
    task = TaskConfig(name="jsonl", path="sample:front_desk")
    once = compare([str(tiny_llama_path)], task, num_requests=4)
    again = compare([str(tiny_llama_path)], task, num_requests=4)
    figures = once[str(tiny_llama_path)]
    assert once == again
    assert figures["control"]["num_candidates"] == 16
    assert figures["control"]["values_occurring"] in (None, 0.0)
    assert 0.0 < figures["control"]["attributes_in_real_text"] <= 1.0
    assert len(figures["samples"]) == 4


def test_the_table_has_one_column_a_model() -> None:
    control = Control(8, 0.5, None, 0.75, 0.25, 0.5)
    loss = {"chat": {"nats_per_token": 2.0, "bits_per_byte": 1.0}}
    figures = {"control": asdict(control), "held_out_loss": loss, "samples": []}
    lines = _table({"old": figures, "new": figures}).splitlines()
    assert lines[0].split() == ["old", "new"]
    assert lines[2].split() == ["values_occurring", "0.5", "0.5"]
    assert lines[-1].count("2.000 (1.000 bits/byte)") == 2
