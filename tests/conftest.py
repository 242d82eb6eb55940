"""Fixtures that every part of the suite shares: two tiny checkpoints, and a task of classes."""

from __future__ import annotations

import json
import os
from pathlib import Path

# Before torch, DeepSpeed or Ray are imported anywhere: no GPU is probed, no hub is asked,
# Ray writes no token file, and two cores are not fought over by thread pools.
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

# No test asserts a wall-clock time, hypothesis's own limit on an example included. Everywhere the
# same examples, so that a red run speaks of the change; look further with
# `pytest --hypothesis-profile=search`.
settings.register_profile("search", deadline=None, max_examples=1000)
settings.register_profile("msp", deadline=None, derandomize=True)
settings.load_profile("msp")

SPECIALS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture(scope="session")
def tiny_llama_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal checkpoint: two layers, hidden size 32, random weights, one token per byte."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("tiny_llama")
    vocab_size = _save_byte_tokenizer(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_t5_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seq2seq checkpoint: two layers on each side, hidden size 32, one token per byte."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    path = tmp_path_factory.mktemp("tiny_t5")
    vocab_size = _save_byte_tokenizer(path)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=vocab_size,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(path)
    return path


PLANTS = {
    "apple": ["peel", "cider", "crunchy core", "orchard", "pie"],
    "rose": ["thorn", "bouquet", "red petals", "scent", "trellis"],
    "oak": ["acorn", "old trunk", "shade", "timber", "bark"],
    "moss": ["damp stone", "green carpet", "north side", "roof", "spores"],
    "reed": ["pond", "thatch", "swaying", "marsh", "hollow stalk"],
    "fern": ["frond", "forest floor", "curled tip", "shady pot", "spiral"],
}


@pytest.fixture(scope="session")
def plants_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A jsonl task of six classes, one a text: 30 seed, 6 dev and 12 test examples."""
    folder = tmp_path_factory.mktemp("plants")
    described = {name: {"description": f"{name} and what it is like"} for name in PLANTS}
    (folder / "ontology.json").write_text(json.dumps({"attributes": described}))
    rows = []
    for name, words in PLANTS.items():
        texts = {
            "seed": [f"tell me about the {name} and its {word}" for word in words],
            "dev": [f"i saw {words[0]} of {name}"],
            "test": [f"{words[1]} of {name} again", f"does {words[2]} mean {name}"],
        }
        rows += [
            {"text": text, "attributes": [name], "split": split}
            for split, found in texts.items()
            for text in found
        ]
    path = folder / "plants.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _save_byte_tokenizer(path: Path) -> int:
    """Write a tokenizer with one token per byte; return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate([*SPECIALS.values(), *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    limited = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **SPECIALS)
    limited.save_pretrained(path)
    return len(vocab)
