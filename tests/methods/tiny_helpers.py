"""Tiny helpers with random weights: a masked LM and a T5 with sentinels over words, a Marian."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    MarianConfig,
    MarianMTModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

WORDS = (
    "a hi could we get late early breakfast dinner tomorrow today please move my your spa pool "
    "visit to half past nine two room"
)
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def save_masked_lm(path: Path) -> Path:
    """Write a BERT whose tokens are words."""
    size = _save_words(path, specials=["[MASK]"], mask_token="[MASK]")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size, intermediate_size=64, max_position_embeddings=64, initializer_range=1.0,
        pad_token_id=0, **_SIZES,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(path)
    return path


def save_sentinel_t5(path: Path) -> Path:
    """Write a T5 whose tokens are words, with two sentinels."""
    sentinels = ["<extra_id_0>", "<extra_id_1>"]
    size = _save_words(path, specials=sentinels, additional_special_tokens=sentinels)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=size, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(path)
    return path


def save_marian(path: Path) -> Path:
    """Write a Marian, whose encoder scales its embeddings and whose padding is forbidden."""
    size = _save_words(path)
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, encoder_attention_heads=2, decoder_attention_heads=2,
        max_position_embeddings=64, scale_embedding=True, pad_token_id=0, eos_token_id=1,
        bos_token_id=1, decoder_start_token_id=0, forced_eos_token_id=None, init_std=0.5,
    )  # fmt: skip
    model = MarianMTModel(config)
    model.generation_config.bad_words_ids = [[0]]
    model.final_logits_bias[:, 0] = 50.0
    model.save_pretrained(path)
    return path


def _save_words(path: Path, specials: list[str] | None = None, **marks: object) -> int:
    """Write a tokenizer with one token per word that ends a text with ``</s>``."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ["<pad>", "</s>", "[UNK]", *(specials or []), *WORDS.split(), ".", ",", "?"]
    vocab = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="[UNK]",
        model_max_length=64, **marks,
    ).save_pretrained(path)  # fmt: skip
    return len(vocab)
