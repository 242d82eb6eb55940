"""Paraphrases and round trips of any checkpoint; a wrong one is refused before any work."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from making_over import UNITS, opening_of
from tiny_helpers import save_marian

from msp.config import GenerateConfig
from msp.engines.base import Request
from msp.engines.hf import HFEngine
from msp.errors import ConfigError
from msp.methods import Opening, find_method
from msp.methods.base import Writer
from msp.models.helper import find_helper, load_helper


def opened(path: Path, method: str, model: Path, **generate: Any) -> Writer:
    names = {"helper_model": str(model)}
    if method == "round_trip":
        names["helper_model_back"] = str(model)
    opening = opening_of(path, method=method, **names, **generate)
    find_method(opening.config).check(opening.config, opening.task)
    return find_method(opening.config).open_writer(opening)


@pytest.mark.parametrize("method", ["paraphrase", "round_trip"])
def test_a_unit_has_the_same_texts_whatever_its_batch(
    tmp_path: Path, tiny_t5_path: Path, method: str
) -> None:
    writer = opened(tmp_path, method, tiny_t5_path, temperature=1.5)
    together = writer.write(UNITS)
    assert [len(texts) for texts in together] == [5, 5, 2]
    alone = [writer.write([unit])[0] for unit in UNITS]
    assert [[t.text for t in texts] for texts in alone] == [
        [t.text for t in texts] for texts in together
    ]
    assert len({t.text for t in together[0]}) == 5
    assert writer.take_counts()["prompt_positions"] > 0


def test_a_causal_paraphraser_reads_the_prompt(tmp_path: Path, tiny_llama_path: Path) -> None:
    prompt = "Say {text} in other words:"
    asked = opened(tmp_path, "paraphrase", tiny_llama_path, helper_prompt=prompt).write(UNITS)
    plain = opened(tmp_path, "paraphrase", tiny_llama_path).write(UNITS)
    assert all(text.num_tokens for texts in asked for text in texts) and asked != plain


def test_a_text_that_lost_a_value_is_drawn_again() -> None:
    from msp.methods.rewriting import Draft, RewritingWriter
    from msp.records import Generated

    class Forgetful:
        """Keeps the value in some of the streams, and says the same in others."""

        def rewrite(self, drafts: list[Draft]) -> list[Generated]:
            words = ["late", "nine", "half past nine"]
            return [Generated(f"{words[d.stream % 3]} {d.stream % 50}", 2, -1.0) for d in drafts]

        def take_counts(self) -> dict[str, int]:
            return {}

    (texts,) = RewritingWriter(Forgetful()).write([UNITS[1]])
    kept = ["half past nine" in text.text for text in texts]
    once = [stream % 3 == 2 for stream in range(UNITS[1].random_seed, UNITS[1].random_seed + 5)]
    assert sum(kept) > sum(once)


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("round_trip", {}, r"generate\.helper_model is .*a causal LM; name a seq2seq translator"),
        ("paraphrase", {"model_type": "bert"}, r"generate\.helper_model should be .*does not"),
        ("paraphrase", {"weights": None}, r"helper_model should be .*no safetensors weights"),
        ("paraphrase", {"max_position_embeddings": 20}, r"20 positions; seed example"),
    ],
)
def test_what_cannot_write_is_refused_before_any_work(
    tmp_path: Path, tiny_llama_path: Path, method: str, changes: dict[str, Any], message: str
) -> None:
    import json

    model = tmp_path / "model"
    shutil.copytree(tiny_llama_path, model)
    settings = json.loads((model / "config.json").read_text())
    if changes.pop("weights", model) is None:
        (model / "model.safetensors").unlink()
    if "model_type" in changes:
        changes["architectures"] = ["BertModel"]
    (model / "config.json").write_text(json.dumps(settings | changes))
    with pytest.raises(ConfigError, match=message):
        opened(tmp_path, method, model)


def test_a_folder_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generate\.helper_model is .*gone.* is not there"):
        opened(tmp_path, "paraphrase", tmp_path / "gone")


@pytest.mark.parametrize("method", ["paraphrase", "fill_in", "round_trip"])
def test_the_scripted_engine_stands_in_for_every_checkpoint(tmp_path: Path, method: str) -> None:
    opening: Opening = opening_of(tmp_path, method=method, engine="scripted")
    texts = find_method(opening.config).open_writer(opening).write(UNITS)
    assert [len(of_unit) for of_unit in texts] == [5, 5, 2]
    assert any("breakfast" in text.text for text in texts[0])


def test_a_marian_writes_with_our_engine_what_it_writes_by_itself(tmp_path: Path) -> None:
    files = find_helper(str(save_marian(tmp_path)), setting="x", wanted="y", seq2seq_only=True)
    text = "could we get a late breakfast tomorrow"
    sampling = GenerateConfig(max_new_tokens=8, temperature=1e-4)
    (ours,) = HFEngine(load_helper(files, dtype="float32")).generate(
        [Request(0, text, None, 1, 0)], sampling
    )
    lm = load_helper(files, dtype="float32")
    ids = files.tokenizer(text, return_tensors="pt").input_ids
    with torch.inference_mode():
        own = lm.model.generate(ids, max_new_tokens=8, num_beams=1, do_sample=False)
    assert ours[0].text == files.tokenizer.decode(own[0], skip_special_tokens=True)
    assert ours[0].text
