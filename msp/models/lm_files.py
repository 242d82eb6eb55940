"""A frozen LM's checkpoint without its weights: what its config says, and its tokenizer."""

from __future__ import annotations

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
from msp.models.lm_folder import find_folder, first_line, folder_hash

UNBOUNDED_POSITIONS = 1 << 30
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
        special_tokens: whether a text gets the marks that the tokenizer puts around one, as an
            end token; a checkpoint that was trained for a task of its own wants them.
    """

    name: str
    path: Path
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase
    is_encoder_decoder: bool
    trust_remote_code: bool = False
    special_tokens: bool = False

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
        return folder_hash(self.path, self.name)

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
        """Return the tokens of each text, and nothing else unless ``special_tokens`` says so."""
        if not texts:
            return []
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=self.special_tokens,
            return_attention_mask=False,
            verbose=False,
        )
        return [list(ids) for ids in encoded["input_ids"]]

    @property
    def _end_id(self) -> int:
        return int(self.tokenizer.eos_token_id)


def find_lm(config: ModelConfig, *, setting: str = "model.name") -> LMFiles:
    """Return the checkpoint of ``model`` without loading its weights.

    Args:
        config: which checkpoint.
        setting: what the user named it in, for messages.

    Raises:
        CheckpointError: as for :func:`msp.models.frozen_lm.load_frozen_lm`.
    """
    path = find_folder(config, setting=setting)
    lm_config = read_config(config, path)
    is_encoder_decoder = _is_encoder_decoder(config, lm_config)
    return LMFiles(
        name=config.name,
        path=path,
        config=lm_config,
        tokenizer=_load_tokenizer(config, path),
        is_encoder_decoder=is_encoder_decoder,
        trust_remote_code=config.trust_remote_code,
    )


def read_config(config: ModelConfig, path: Path) -> PretrainedConfig:
    """Return the config of a checkpoint's folder.

    Raises:
        CheckpointError: transformers cannot read it.
    """
    try:
        return AutoConfig.from_pretrained(
            path, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        raise CheckpointError(
            f"model {config.name}: {path / 'config.json'} is not a config that transformers can "
            f"read ({first_line(error)})."
        ) from error


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


def _load_tokenizer(config: ModelConfig, path: Path) -> PreTrainedTokenizerBase:
    tokenizer = read_tokenizer(config, path)
    if tokenizer.eos_token_id is None:
        raise CheckpointError(f"model {config.name}: its tokenizer names no end token (eos_token).")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def ids_inside_line(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return each text's tokens as they are after another word.

    So for every kind of tokenizer, whatever marks its pieces of words carry; where a text's
    first token would swallow the word before it, its tokens alone.
    """
    if not texts:
        return []
    before = "a"
    head, *lines = tokenizer(
        [before, *(f"{before} {text}" for text in texts)], add_special_tokens=False, verbose=False
    )["input_ids"]
    alone = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [
        list(line[len(head) :]) if list(line[: len(head)]) == list(head) else list(own)
        for line, own in zip(lines, alone, strict=True)
    ]


def read_tokenizer(config: ModelConfig, path: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a checkpoint's folder.

    Raises:
        CheckpointError: there is none that can be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        raise CheckpointError(
            f"model {config.name}: {path} has no tokenizer that can be read ({first_line(error)})."
        ) from error
    loaded: PreTrainedTokenizerBase = tokenizer
    return loaded
