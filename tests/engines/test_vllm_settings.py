"""What can be said of engine ``vllm`` where vLLM is not installed: what is refused, and how."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig, RunConfig
from msp.config_file import load_config
from msp.engines import check_engine
from msp.engines.vllm_settings import MAX_ROWS, rows_at_once, shards_in_flight
from msp.errors import ConfigError
from msp.models.embeddings import load_embeddings
from msp.models.frozen_lm import load_frozen_lm
from msp.models.lm_files import find_lm

CONFIG = (
    "output_uri: out\ntask: {name: jsonl, path: rows.jsonl}\ngenerate: {engine: vllm}\n"
    "model: {name: MODEL}\n"
)


@pytest.fixture
def config_path(tmp_path: Path, tiny_llama_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("MODEL", str(tiny_llama_path)))
    return path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["generate.repetition_penalty=1.2"], r"repetition_penalty is 1.2; .* leave it at 1"),
        (["generate.temperature=0.005"], r"temperature is 0.005, .* raise to 0.01"),
        (
            ["generate.tensor_parallel_size=2", "cluster.gpus_per_generator=4"],
            r"tensor_parallel_size is 2, but cluster.gpus_per_generator is 4",
        ),
        (["cluster.gpus_per_generator=2"], r"parallel_size is 1, .* is 2; .* make them equal"),
        (["cluster.gpus_per_generator=1.5"], r"gpus_per_generator is 1.5; above 1"),
        (
            ["generate.engine=hf", "generate.tensor_parallel_size=2"],
            r"tensor_parallel_size is 2, which engine hf does not know",
        ),
    ],
)  # fmt: skip
def test_settings_that_vllm_cannot_keep_are_refused_by_name(config_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config(config_path, settings)


@pytest.mark.parametrize(
    "settings",
    [
        ["cluster.gpus_per_generator=0.5"],
        ["cluster.gpus_per_generator=4", "generate.tensor_parallel_size=4"],
        ["generate.temperature=0.001"],
    ],
)
def test_settings_that_vllm_keeps_are_accepted(config_path, settings):
    assert load_config(config_path, settings).generate.engine == "vllm"


@pytest.mark.parametrize(
    ("settings", "rows", "shards"),
    [
        (["generate.batch_size=32"], 160, 3),
        (["generate.batch_size=32", "generate.units_per_shard=4"], 160, 10),
        (["generate.batch_size=1000"], MAX_ROWS, 9),
        (["generate.batch_size=auto", "cluster.gpus_per_generator=1"], MAX_ROWS, 9),
    ],
)
def test_a_generator_holds_shards_that_fill_its_batch_and_two_more(
    config_path, settings, rows, shards
):
    config = load_config(config_path, settings)
    assert (rows_at_once(config), shards_in_flight(config)) == (rows, shards)


def test_an_encoder_decoder_is_refused_before_any_work(config_path, tiny_t5_path):
    config = load_config(config_path, [f"model.name={tiny_t5_path}"])
    with pytest.raises(ConfigError, match=r"takes decoder-only LMs, but .* is encoder-decoder"):
        check_engine(config, find_lm(config.model))


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_where_vllm_is_not_installed_the_extra_is_named(config_path):
    config: RunConfig = load_config(config_path)
    with pytest.raises(ConfigError, match=r"not installed; .* pip install 'msp\[vllm\]'"):
        check_engine(config, find_lm(config.model))


def test_embeddings_alone_are_those_of_the_whole_lm(tiny_llama_path):
    config = ModelConfig(name=str(tiny_llama_path), dtype="float32")
    whole, alone = load_frozen_lm(config, device="cpu"), load_embeddings(config)
    assert torch.equal(whole.embedding.weight, alone.embedding.weight)
    assert sum(p.numel() for p in alone.model.parameters()) == alone.embedding.weight.numel()
    assert not alone.embedding.weight.requires_grad


def test_scaled_embeddings_are_taken_from_the_whole_lm(tmp_path, tiny_llama_path):
    from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

    AutoTokenizer.from_pretrained(tiny_llama_path).save_pretrained(tmp_path)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 259}
    Gemma3ForCausalLM(Gemma3TextConfig(**sizes, **heads)).save_pretrained(tmp_path)
    config = ModelConfig(name=str(tmp_path), dtype="float32")
    ids = torch.arange(5, 9)
    whole, alone = load_frozen_lm(config, device="cpu"), load_embeddings(config)
    assert torch.equal(whole.embedding(ids), alone.embedding(ids))
