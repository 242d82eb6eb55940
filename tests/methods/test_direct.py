"""Direct prediction: the LM itself learns to answer, by its weights or by one soft prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from msp.distributed.fit_worker import Fitter
from msp.errors import ConfigError
from msp.methods import Opening, find_method
from msp.methods.direct import open_predictor
from msp.storage.local import LocalStore


@pytest.mark.parametrize("method", ["fine_tune", "soft_prompt"])
@pytest.mark.parametrize("path", ["tiny_llama_path", "tiny_t5_path"])
def test_learning_lowers_the_loss_of_the_answers(
    method, path, small_task, make_run, request
) -> None:
    tune = {"num_epochs": 4, "fit_learning_rate": 0.01, "learning_rate": 0.3}
    config = make_run(request.getfixturevalue(path), method=method, tune=tune)
    store = LocalStore(Path(config.output_uri))
    predictor = open_predictor(Opening(config, small_task, store))
    learning = [n for n, p in predictor.fit.module.named_parameters() if p.requires_grad]
    assert (learning == ["instruction"]) == (method == "soft_prompt")
    curve = Fitter(predictor.fit, config.tune, store, seed=1).run()["curve"]
    assert curve[-1]["dev_loss"] < curve[0]["dev_loss"] - 0.1


def test_a_fine_tuned_lm_answers_texts_like_those_it_learned(
    tiny_llama_path, small_task, make_run
) -> None:
    tune = {"num_epochs": 60, "fit_learning_rate": 0.01}
    config = make_run(tiny_llama_path, method="fine_tune", clm_weights="all", tune=tune)
    store = LocalStore(Path(config.output_uri))
    predictor = open_predictor(Opening(config, small_task, store))
    Fitter(predictor.fit, config.tune, store, seed=1).run()
    texts = [example.text for example in small_task.test]
    lines = predictor.lines([*texts, "too long " * 99], ["general"] * 7)
    gold = [", ".join(example.attributes) for example in small_task.test]
    assert sum(a == b for a, b in zip(lines[:6], gold, strict=True)) >= 5 and lines[6] == ""


def test_what_answers_itself_writes_nothing_and_needs_the_lm(
    tiny_llama_path, small_task, make_run, tmp_path
) -> None:
    config = make_run(tiny_llama_path, method="soft_prompt")
    with pytest.raises(ConfigError, match="writes no candidates; use msp run"):
        find_method(config).open_writer(Opening(config, small_task, LocalStore(tmp_path)))
    with pytest.raises(ValidationError, match="set it to hf"):
        make_run(tiny_llama_path, method="fine_tune", engine="scripted")
    with pytest.raises(ValidationError, match="engine to hf"):
        make_run(tiny_llama_path, method="clm", engine="vllm")
