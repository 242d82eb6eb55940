"""Masked words get others, by a masked LM or by sentinels, and a value gets none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from making_over import UNITS, opening_of, unit_of
from tiny_helpers import WORDS, save_masked_lm, save_sentinel_t5

from msp.config import GenerateConfig
from msp.errors import ConfigError
from msp.methods.base import Writer
from msp.methods.fill_in import Blank, MaskFiller, check_fill_in, open_fill_in
from msp.methods.pieces import cut
from msp.models.helper import load_masked_lm, whole_words

SAVE = {"masked": save_masked_lm, "sentinels": save_sentinel_t5}


@pytest.fixture(scope="module", params=SAVE)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVE[request.param](tmp_path_factory.mktemp(request.param))


def writer(path: Path, model: Path, **generate: Any) -> Writer:
    settings = {"mask_share": 0.5, "temperature": 2.0, "top_p": 1.0, **generate}
    opening = opening_of(path, method="fill_in", helper_model=str(model), **settings)
    return open_fill_in(opening)


def test_a_unit_has_the_same_texts_whatever_its_batch(tmp_path: Path, model: Path) -> None:
    filler = writer(tmp_path, model)
    together = [[t.text for t in texts] for texts in filler.write(UNITS)]
    assert [[t.text for t in filler.write([unit])[0]] for unit in UNITS] == together
    assert len({*together[0], UNITS[0].exemplars[-1].text}) > 2
    assert filler.take_counts()["prompt_positions"] > 0


def test_only_words_outside_values_are_filled(tmp_path: Path, model: Path) -> None:
    (texts,) = writer(tmp_path, model, mask_share=1.0).write([UNITS[1]])
    assert all("half past nine." in text.text for text in texts)
    assert any(text.text != UNITS[1].exemplars[-1].text for text in texts)


def test_a_masked_lm_fills_with_whole_words_other_than_before(tmp_path: Path) -> None:
    model = save_masked_lm(tmp_path / "model")
    source = unit_of("Could we get a late breakfast?", num_candidates=8)
    (texts,) = writer(tmp_path, model, mask_share=0.2).write([source])
    before = [piece.core for piece in cut(source.exemplars[-1].text, [])]
    for text in texts:
        after = [piece.core for piece in cut(text.text, [])]
        changed = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed) == text.num_tokens == 1 and text.logprob < 0
        assert changed[0].lower() in WORDS.split() and text.text.endswith("?")
        assert text.text[0].isupper()


def test_a_masked_word_never_comes_back(tmp_path: Path) -> None:
    lm = load_masked_lm(str(save_masked_lm(tmp_path)), dtype="float32")
    filler = MaskFiller(lm, GenerateConfig(temperature=50.0, top_p=1.0))
    blanks = [Blank(0, "could we get a ", "Late", " breakfast", stream) for stream in range(300)]
    found = {filling.text for filling in filler.fill(blanks)}
    assert "late" not in found and len(found) > 15


def test_whole_words_are_found_for_any_tokenizer(tmp_path: Path) -> None:
    lm = load_masked_lm(str(save_masked_lm(tmp_path)), dtype="float32")
    assert sorted(whole_words(lm.tokenizer).values()) == sorted(WORDS.split())


def test_a_model_without_masks_and_sentinels_is_refused(
    tmp_path: Path, tiny_t5_path: Path, tiny_llama_path: Path
) -> None:
    for model, message in ((tiny_t5_path, "no sentinel"), (tiny_llama_path, "a causal LM")):
        opening = opening_of(tmp_path, method="fill_in", helper_model=str(model))
        with pytest.raises(ConfigError, match=rf"helper_model is .*{message}.*roberta-base"):
            check_fill_in(opening.config, opening.task)


def test_seed_examples_that_the_model_cannot_read_are_named(tmp_path: Path) -> None:
    model = save_masked_lm(tmp_path / "model")
    opening = opening_of(tmp_path, method="fill_in", helper_model=str(model))
    check_fill_in(opening.config, opening.task)
    long = (*opening.task.seeds, unit_of("spa " * 80).exemplars[-1])
    from dataclasses import replace

    with pytest.raises(ConfigError, match="reads 64 tokens; seed example seed-0"):
        check_fill_in(opening.config, replace(opening.task, seeds=long))
