"""Any causal or seq2seq checkpoint loads frozen; all else is refused, at once and by name."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from msp.config import ModelConfig
from msp.errors import CheckpointError
from msp.models.frozen_lm import load_frozen_lm
from msp.models.lm_files import find_lm


@pytest.fixture
def copy(tiny_llama_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama_path, tmp_path / "copy"))


def refused(name: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_frozen_lm(ModelConfig(name=str(name)), device="cpu")
    return str(caught.value)


def test_a_causal_checkpoint_loads_frozen(tiny_llama_path: Path) -> None:
    lm = load_frozen_lm(ModelConfig(name=str(tiny_llama_path), dtype="float32"), device="cpu")
    assert (lm.is_encoder_decoder, lm.hidden_size, lm.max_positions) == (False, 32, 512)
    assert not lm.model.training and lm.model.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())


def test_a_seq2seq_checkpoint_loads_frozen(tiny_t5_path: Path) -> None:
    lm = load_frozen_lm(ModelConfig(name=str(tiny_t5_path), dtype="bfloat16"), device="cpu")
    assert (lm.is_encoder_decoder, lm.hidden_size) == (True, 32)
    assert lm.model.dtype == torch.bfloat16
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())


def test_targets_end_as_the_lm_ends_them(tiny_llama_path: Path, tiny_t5_path: Path) -> None:
    llama, t5 = (find_lm(ModelConfig(name=str(path))) for path in (tiny_llama_path, tiny_t5_path))
    assert llama.tokenizer.decode(llama.target_ids([" hi\n"])[0]) == " hi\n"
    assert t5.tokenizer.decode(t5.target_ids([" hi\n"])[0]) == "hi</s>"


def test_the_hash_is_of_config_and_weights(copy: Path) -> None:
    first = find_lm(ModelConfig(name=str(copy))).content_hash
    expected = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        expected.update(name.encode() + (copy / name).read_bytes())
    assert first == expected.hexdigest()
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert find_lm(ModelConfig(name=str(copy))).content_hash != first


def test_a_tokenizer_without_padding_pads_with_its_end_token(copy: Path) -> None:
    config = copy / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"pad_token"', '"unused_token"'))
    assert find_lm(ModelConfig(name=str(copy))).tokenizer.pad_token == "</s>"


@pytest.mark.parametrize("name", ["/no/such/folder", "./missing", "~/missing/x", "a/b/c"])
def test_a_missing_path_is_refused_without_asking_the_hub(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    assert "is not there" in refused(name)


def test_a_hub_id_that_cannot_be_had_says_what_was_tried() -> None:
    message = refused("no-such-owner-msp/no-such-model")
    assert "no such local folder" in message and "hub" in message and "network" in message


def test_a_model_that_does_not_write_is_named_for_what_it_is(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=10,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    BertModel(config).save_pretrained(tmp_path)
    assert "is bert (BertModel), which does not write text" in refused(tmp_path)


def test_pickled_weights_are_not_read(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    message = refused(copy)
    assert "no safetensors weights" in message and "pytorch_model.bin is not read" in message


def test_damaged_checkpoints_are_refused_with_the_place(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded" in refused(copy)
    (copy / "tokenizer.json").write_text("{")
    assert "no tokenizer that can be read" in refused(copy)
    (copy / "config.json").write_text("{")
    assert "not a config" in refused(copy)
    (copy / "config.json").unlink()
    assert "holds no config.json" in refused(copy)
