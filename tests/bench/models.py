"""An encoder-decoder LM of random weights whose texts end, as real ones do."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from msp.models.lm_folder import BUILTIN_PATH

ENDING_LOGIT = 7.6
"""Of the end token at every step; texts so end after 15 tokens or so, as utterances do."""


def save_t5(folder: Path) -> Path:
    """Leave a T5 of the built-in LM's width and depth, with its tokenizer, and return its folder.

    The first dimension of the decoder is the same for every token, and only the end token's
    row of the output layer looks at it, so that a text ends with the same probability after
    each token. A model of random weights would else never end one.
    """
    tokenizer = AutoTokenizer.from_pretrained(BUILTIN_PATH)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=256,
        d_kv=64,
        d_ff=704,
        num_layers=6,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        # Of its own, as in T5 1.1 and FLAN-T5; the logits then spread about as a trained LM's do.
        model.lm_head.weight = nn.Parameter(0.25 * torch.randn_like(model.lm_head.weight))
        model.lm_head.weight[:, 0] = 0.0
        model.shared.weight[:, 0] = 100.0
        # RMS normalisation leaves sqrt(256) = 16 of a dimension that outweighs all others.
        model.lm_head.weight[tokenizer.eos_token_id, 0] = ENDING_LOGIT / 16
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
