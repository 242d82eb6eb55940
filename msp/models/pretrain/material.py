"""Everything that a run reads, made once on each node: tokenizer, training ids, held-out ids."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from msp.errors import ConfigError, TaskDataError
from msp.models.pretrain.corpus import read_inputs
from msp.models.pretrain.mixture import SPOKEN, Corpus, Mixture, build_corpora, held_out_streams
from msp.models.pretrain.network import start_files
from msp.models.pretrain.packing import TokenRow, write_tokens
from msp.models.pretrain.settings import PretrainConfig
from msp.models.pretrain.tokenizer import train_tokenizer

PART_TOKENS = 4_000_000
_HELD_OUT_TOKENS = 16_384
# A part of the stream that no run is long enough to train on.
_TOKENIZER_PART = 1_000_000


@dataclass(slots=True)
class Material:
    """What a run reads: training ids, held-out ids by source, the tokenizer."""

    training: TokenRow
    held_out: dict[str, TokenRow]
    tokenizer: PreTrainedTokenizerFast


def prepare(config: PretrainConfig) -> Material:
    """The run's material; what an earlier call finished is read, not made again.

    It follows from inputs and config alone, so every node of a cluster makes
    its own and none need be shared.
    """
    folder = scratch_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    num_parts = -(-(config.num_steps * config.train.tokens_per_step + 1) // PART_TOKENS)
    parts = [folder / f"training-{index:05d}.bin" for index in range(num_parts)]
    if not (folder / "complete").exists():
        _make(config, folder, parts)
        (folder / "complete").touch()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    rows = {path.stem: TokenRow([path]) for path in sorted((folder / "held_out").glob("*.bin"))}
    return Material(TokenRow(parts), rows, tokenizer)


def scratch_folder(config: PretrainConfig) -> Path:
    """The node's folder for this run's material, named by what it follows from."""
    root = Path(config.runtime.scratch_path or Path(tempfile.gettempdir()) / "msp-pretrain")
    sizes = [(path.name, path.stat().st_size) for path in config.input_paths if path.exists()]
    identity = json.dumps([config.defining(), sizes], sort_keys=True)
    return root / hashlib.sha256(identity.encode()).hexdigest()[:16]


def _make(config: PretrainConfig, folder: Path, parts: list[Path]) -> None:
    training, held_out = build_corpora(*read_inputs(config.input_paths))
    _check_weights(config, training)
    tokenizer = _tokenizer(config, training, folder)
    mixture = Mixture(training, config.seed, config.data.source_weights)
    left = config.num_steps * config.train.tokens_per_step + 1
    for index, part in enumerate(parts):
        if not part.exists():
            write_tokens(mixture.documents(index), tokenizer, part, min(left, PART_TOKENS))
        left -= PART_TOKENS
    _write_held_out(held_out, config, tokenizer, folder / "held_out")


def _write_held_out(
    corpus: Corpus, config: PretrainConfig, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    folder.mkdir(exist_ok=True)
    mixture = Mixture(corpus, config.seed, config.data.source_weights)
    for name, documents in held_out_streams(mixture, corpus).items():
        path = folder / f"{name}.bin"
        if write_tokens(documents, tokenizer, path, _HELD_OUT_TOKENS) < 2:
            path.unlink()


def _check_weights(config: PretrainConfig, corpus: Corpus) -> None:
    """Every source of utterances has a weight, or none has.

    Raises:
        ConfigError: otherwise; the message names the sources.
    """
    weights = config.data.source_weights
    found = sorted({u.source for u in corpus.utterances} - {SPOKEN})
    if weights and (sorted(weights) != found or not any(weights.values())):
        raise ConfigError(
            f"data.source_weights names {', '.join(sorted(weights))}; it must give every source of "
            f"the utterances ({', '.join(found) or 'there are none'}) a weight, one above 0, or "
            "be left out."
        )
    if not corpus.documents and not found:
        raise TaskDataError("data.inputs: no document and no utterance with an attribute is left.")


def _tokenizer(config: PretrainConfig, corpus: Corpus, folder: Path) -> PreTrainedTokenizerFast:
    if config.model.start_from is not None:
        tokenizer: PreTrainedTokenizerFast = start_files(config.model).tokenizer
        tokenizer.save_pretrained(folder / "tokenizer")
        return tokenizer
    documents = Mixture(corpus, config.seed, config.data.source_weights).documents(_TOKENIZER_PART)
    tokenizer = train_tokenizer(
        islice(documents, config.data.num_tokenizer_documents),
        vocab_size=config.model.vocab_size,
        max_length=config.model.context_length,
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return tokenizer
