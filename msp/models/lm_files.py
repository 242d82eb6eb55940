"""A frozen LM's checkpoint as it lies on disk or on the hub: found, checked, hashed, tokenised."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import (
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from msp.config import ModelConfig
from msp.errors import CheckpointError

BUILTIN_PATH = Path(__file__).parent / "builtin"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py"]
HASHED_CHUNK_BYTES = 1 << 22
UNBOUNDED_POSITIONS = 1 << 30
UNSAFE_SUFFIXES = {".bin", ".pt", ".pth", ".h5", ".ckpt"}
CAUSAL_ARCHITECTURES = ("ForCausalLM", "LMHeadModel")


@dataclass(frozen=True)
class LMFiles:
    """A frozen LM as it lies on disk: all that is known without reading its weights into memory.

    Args:
        name: ``model.name`` of the config, for messages and prompts.json.
        path: the local folder.
        config: the checkpoint's own config.
        tokenizer: with a padding token.
        is_encoder_decoder: seq2seq (true) or causal (false).
        trust_remote_code: whether the checkpoint's code may run.
    """

    name: str
    path: Path
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase
    is_encoder_decoder: bool
    trust_remote_code: bool = False

    @property
    def hidden_size(self) -> int:
        """Width of the input embeddings."""
        text = self.config.get_text_config()
        return int(getattr(text, "embedding_size", None) or text.hidden_size)

    @property
    def max_positions(self) -> int:
        """Most positions of one sequence, soft prompt included."""
        text = self.config.get_text_config()
        for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"):
            value = getattr(text, name, None)
            if isinstance(value, int) and value > 0:
                return value
        return int(min(self.tokenizer.model_max_length, UNBOUNDED_POSITIONS))

    @cached_property
    def content_hash(self) -> str:
        """sha256 over config and weights, so that prompts know the LM they were tuned for."""
        digest = hashlib.sha256()
        for path in [self.path / "config.json", *weight_files(self.path, self.name)]:
            digest.update(path.name.encode())
            with path.open("rb") as stream:
                while chunk := stream.read(HASHED_CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()

    @property
    def real_rows(self) -> list[int]:
        """Rows of the embedding table that stand for a token of text."""
        special = set(self.tokenizer.all_special_ids)
        vocab_size = min(len(self.tokenizer), int(self.config.get_text_config().vocab_size))
        return [row for row in range(vocab_size) if row not in special]

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens to be learned.

        A causal LM goes on where the context stopped, so the target ends with
        its newline; a decoder starts afresh and ends with the end token.
        """
        if not self.is_encoder_decoder:
            return self.text_ids(texts)
        return [[*ids, self._end_id] for ids in self.text_ids([text.strip() for text in texts])]

    def text_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text and nothing else."""
        if not texts:
            return []
        encoded = self.tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return [list(ids) for ids in encoded["input_ids"]]

    @property
    def _end_id(self) -> int:
        return int(self.tokenizer.eos_token_id)


def find_lm(config: ModelConfig) -> LMFiles:
    """Return the checkpoint of ``model`` without loading its weights.

    Raises:
        CheckpointError: as for :func:`msp.models.frozen_lm.load_frozen_lm`.
    """
    path = _local_folder(config)
    try:
        lm_config = AutoConfig.from_pretrained(
            path, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        raise CheckpointError(
            f"model {config.name}: {path / 'config.json'} is not a config that transformers can "
            f"read ({_first_line(error)})."
        ) from error
    is_encoder_decoder = _is_encoder_decoder(config, lm_config)
    return LMFiles(
        name=config.name,
        path=path,
        config=lm_config,
        tokenizer=_load_tokenizer(config, path),
        is_encoder_decoder=is_encoder_decoder,
        trust_remote_code=config.trust_remote_code,
    )


def _is_encoder_decoder(config: ModelConfig, lm_config: PretrainedConfig) -> bool:
    kind = lm_config.model_type
    if lm_config.is_encoder_decoder and kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return True
    names = list(lm_config.architectures or [])
    remote = config.trust_remote_code and bool(getattr(lm_config, "auto_map", None))
    known = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or remote
    if known and (not names or any(name.endswith(CAUSAL_ARCHITECTURES) for name in names)):
        return False
    found = f"{kind} ({', '.join(names) or 'no architecture named'})"
    raise CheckpointError(
        f"model {config.name} is {found}, which does not write text; a frozen LM is causal "
        "(..ForCausalLM) or seq2seq (..ForConditionalGeneration)."
    )


def _local_folder(config: ModelConfig) -> Path:
    if config.name == "builtin":
        path = BUILTIN_PATH
    else:
        path = Path(config.name).expanduser()
        if not path.exists() and _is_hub_id(config.name):
            return _fetch_from_hub(config)
    if not path.is_dir():
        found = "is a file" if path.is_file() else "is not there"
        raise CheckpointError(
            f"model.name is {config.name}, but the folder {path} {found}; give builtin, the folder "
            "of a checkpoint (config.json, *.safetensors, tokenizer files), or a hub id."
        )
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"model {config.name}: {path} holds no config.json; a checkpoint folder has "
            "config.json, *.safetensors and tokenizer files."
        )
    return path


def _is_hub_id(name: str) -> bool:
    """Tell ``owner/model`` from a path: that starts with . / ~, goes deeper, or its top exists."""
    if not HUB_ID.fullmatch(name):
        return False
    owner, _, model = name.partition("/")
    return not (model and Path(owner).exists())


def _fetch_from_hub(config: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download

    patterns = HUB_FILES if config.trust_remote_code else HUB_FILES[:-1]
    try:
        folder = snapshot_download(
            config.name, revision=config.revision, allow_patterns=patterns, etag_timeout=10
        )
    except Exception as error:
        at = f" at revision {config.revision}" if config.revision else ""
        raise CheckpointError(
            f"model.name is {config.name}: there is no such local folder, and as a hub id{at} it "
            f"cannot be had ({_first_line(error)}); check the name and the network, or give a "
            "local folder."
        ) from error
    return Path(folder)


def _load_tokenizer(config: ModelConfig, path: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        raise CheckpointError(
            f"model {config.name}: {path} has no tokenizer that can be read ({_first_line(error)})."
        ) from error
    if tokenizer.eos_token_id is None:
        raise CheckpointError(f"model {config.name}: its tokenizer names no end token (eos_token).")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    loaded: PreTrainedTokenizerBase = tokenizer
    return loaded


def weight_files(path: Path, name: str) -> list[Path]:
    """Return the safetensors files of a checkpoint folder, in a fixed order.

    Raises:
        CheckpointError: there are none, or the index names one that is missing.
    """
    index = path / "model.safetensors.index.json"
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"model {name}: {index} is damaged ({error}).") from error
        missing = [part for part in names if not (path / part).is_file()]
        if not missing:
            return [path / part for part in names]
        raise CheckpointError(f"model {name}: {index} names {missing[0]}, which is not there.")
    other = [p.name for p in sorted(path.iterdir()) if p.suffix in UNSAFE_SUFFIXES]
    found = f"; {', '.join(other)} is not read, because it can run code" if other else ""
    raise CheckpointError(f"model {name}: {path} has no safetensors weights{found}.")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
