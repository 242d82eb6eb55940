"""Pre-training under a real local Ray: two workers, one model, nothing done twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from msp.distributed.pretrain import pretrain
from msp.errors import ConfigError, HeldError
from msp.models.pretrain.settings import PretrainConfig
from msp.storage.lease import held
from msp.storage.store import open_store

pytestmark = pytest.mark.ray


@pytest.fixture
def config(tmp_path: Path) -> PretrainConfig:
    rows = [
        {"attributes": ["ride"], "text": f"a ride to stop {n}", "values": [f"stop {n}"]}
        for n in range(300)
    ]
    (tmp_path / "rides.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return PretrainConfig.model_validate(
        {
            "output_uri": str(tmp_path / "out"),
            "data": {
                "inputs": [str(tmp_path / "rides.jsonl")],
                "num_tokenizer_documents": 200,
            },
            "model": {
                "vocab_size": 320,
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_layers": 1,
                "head_size": 8,
                "context_length": 32,
            },
            "train": {
                "num_tokens": 8 * 128,
                "tokens_per_step": 128,
                "sequence_length": 32,
            },
            "runtime": {
                "num_workers": 2,
                "compile": False,
                "scratch_path": str(tmp_path / "scratch"),
            },
        }
    )


def test_two_workers_train_one_model_and_a_second_call_adds_nothing(
    tmp_path: Path, config: PretrainConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    first = pretrain(config)
    assert first["num_tokens"] == 8 * 128
    assert first["held_out_loss"]["form_labelled_rides"] > 0
    assert "step 8 held-out loss" in capfd.readouterr().err
    model = AutoModelForCausalLM.from_pretrained(first["model"])
    assert model.config.max_position_embeddings == 32
    saved = (tmp_path / "out/checkpoints/step-00000008/state.json").stat().st_mtime_ns
    assert pretrain(config) == first
    assert (tmp_path / "out/checkpoints/step-00000008/state.json").stat().st_mtime_ns == saved


def test_a_second_live_run_on_one_output_is_refused(config: PretrainConfig) -> None:
    with held(open_store(config.output_uri)), pytest.raises(HeldError, match="is being written by"):
        pretrain(config)


def test_a_missing_input_is_refused_before_ray_starts(config: PretrainConfig) -> None:
    data = config.data.model_copy(update={"inputs": ["gone.txt"]})
    with pytest.raises(ConfigError, match="is not there"):
        pretrain(config.model_copy(update={"data": data}))


def test_a_cluster_that_is_too_small_is_named(config: PretrainConfig) -> None:
    runtime = config.runtime.model_copy(update={"cpus_per_worker": 500})
    with pytest.raises(ConfigError, match="pre-training needs 1000 CPUs"):
        pretrain(config.model_copy(update={"runtime": runtime}))
