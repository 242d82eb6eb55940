"""Words of a seed example masked, and filled in by a model that was trained to.

The baseline ``fill`` of MSP (arXiv 2303.01580, section 4), after contextual augmentation with a
masked LM (Wu et al., arXiv 1812.06705) or with T5's sentinels (Raffel et al., arXiv
1910.10683). Words are filled one after the other, so that each goes with those before it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from msp.config import GenerateConfig, RunConfig
from msp.engines import make_engine
from msp.engines.base import Request
from msp.errors import ConfigError
from msp.methods.base import Opening, candidate_stream, unit_rng
from msp.methods.engine_rewriters import check_lengths, stand_in
from msp.methods.pieces import Piece, cut, join
from msp.methods.rewriting import Draft, RewritingWriter
from msp.records import Generated
from msp.tasks.base import TaskData

if TYPE_CHECKING:
    from torch import Tensor

    from msp.models.frozen_lm import FrozenLM
    from msp.models.helper import MaskedLM
    from msp.models.lm_files import LMFiles

_SETTING = "generate.helper_model"
_FILLER = (
    "a masked LM with safetensors weights, such as roberta-base, or a seq2seq LM with T5's "
    "sentinels, such as t5-base"
)
_SENTINEL = "<extra_id_0>"
_NEXT_SENTINEL = "<extra_id_1>"
# Tokens of one masked word.
_MAX_FILL_TOKENS = 8
_ROWS_AT_ONCE = 64


def open_fill_in(opening: Opening) -> RewritingWriter:
    """Return the writer that fills masks with ``generate.helper_model``.

    Raises:
        ConfigError: as :func:`check_fill_in`.
    """
    config = opening.config
    if config.generate.engine == "scripted":
        return stand_in(opening)
    from msp.models.helper import load_helper, load_masked_lm

    name, dtype = _name(config), config.model.dtype
    filler: MaskFiller | SentinelFiller
    if _is_masked_lm(name):
        filler = MaskFiller(load_masked_lm(name, dtype=dtype), config.generate)
    else:
        filler = SentinelFiller(load_helper(_find_seq2seq(name), dtype=dtype), config.generate)
    return RewritingWriter(FillIn(filler, config.generate.mask_share))


def check_fill_in(config: RunConfig, task: TaskData) -> None:
    """Pass where the model that fills is there, fills, and takes every seed example.

    Raises:
        ConfigError: it is not, or does not.
    """
    if config.generate.engine == "scripted":
        return
    name = _name(config)
    if not _is_masked_lm(name):
        return check_lengths(_find_seq2seq(name), config, task, prompt=f"{{text}} {_SENTINEL}")
    from msp.models.helper import find_masked_lm

    tokenizer, max_tokens = find_masked_lm(name, setting=_SETTING, wanted=_FILLER)
    for example in task.seeds:
        if len(tokenizer(example.text)["input_ids"]) >= max_tokens:
            raise ConfigError(
                f"{_SETTING} is {name}, which reads {max_tokens} tokens; seed example "
                f"{example.uid} does not fit. Name a model that reads more, or shorten the example."
            )
    return None


@dataclass(frozen=True, slots=True)
class Blank:
    """One word of a text that is to be filled in.

    Args:
        unit_id: for messages.
        before: the text up to it, with the marks that open it.
        word: what stood there.
        after: the text from it on.
        stream: the random stream of the filling.
    """

    unit_id: int
    before: str
    word: str
    after: str
    stream: int


class Filler(Protocol):
    """Fills blanks."""

    def fill(self, blanks: Sequence[Blank]) -> list[Generated]:
        """Return what comes in each blank; it follows from the blank alone, and may be empty."""
        ...

    def take_counts(self) -> dict[str, int]:
        """Return counts as :class:`msp.methods.base.Writer` says."""
        ...


class FillIn:
    """Makes texts over by filling some of their words anew, never those of a value.

    Args:
        filler: fills one blank of each text at a time.
        share: of the words that are filled; one at least.
    """

    def __init__(self, filler: Filler, share: float) -> None:
        self._filler = filler
        self._share = share

    def rewrite(self, drafts: Sequence[Draft]) -> list[Generated]:
        """Return texts as :class:`msp.methods.rewriting.Rewriter` says; fillings are its tokens."""
        texts = [cut(draft.text, draft.values) for draft in drafts]
        places = [self._places(pieces, draft) for pieces, draft in zip(texts, drafts, strict=True)]
        tokens, logprobs = [0] * len(drafts), [0.0] * len(drafts)
        for step in range(max(map(len, places), default=0)):
            rows = [row for row, found in enumerate(places) if step < len(found)]
            blanks = [_blank(texts[row], places[row][step], drafts[row], step) for row in rows]
            for row, filling in zip(rows, self._filler.fill(blanks), strict=True):
                place = places[row][step]
                texts[row][place] = _filled(texts[row][place], filling.text)
                tokens[row] += filling.num_tokens
                logprobs[row] += filling.logprob
        return [
            Generated(join(pieces), number, logprob)
            for pieces, number, logprob in zip(texts, tokens, logprobs, strict=True)
        ]

    def take_counts(self) -> dict[str, int]:
        """Return what the filler counted since this was last asked."""
        return self._filler.take_counts()

    def _places(self, pieces: Sequence[Piece], draft: Draft) -> list[int]:
        words = [place for place, piece in enumerate(pieces) if piece.kind == "word"]
        number = max(1, round(self._share * len(words)))
        order = unit_rng("fill in", draft.stream).permutation(len(words))
        return [words[i] for i in order[:number].tolist()]


class MaskFiller:
    """Fills with a masked LM: a whole word of its vocabulary, and another one than before.

    Args:
        lm: the masked LM.
        sampling: temperature and cuts.
    """

    def __init__(self, lm: MaskedLM, sampling: GenerateConfig) -> None:
        import torch

        from msp.models.helper import whole_words

        self._lm = lm
        self._sampling = sampling.model_copy(update={"repetition_penalty": 1.0})
        words = whole_words(lm.tokenizer)
        if not words:
            raise ConfigError(f"{_SETTING}: no token of its vocabulary is a whole word; {_FILLER}.")
        self._tokens: dict[str, list[int]] = {}
        for token, word in words.items():
            self._tokens.setdefault(word.casefold(), []).append(token)
        self._words = words
        self._allowed = torch.tensor(sorted(words))
        self._counts: Counter[str] = Counter()

    def fill(self, blanks: Sequence[Blank]) -> list[Generated]:
        """Return fillings as :class:`Filler` says; of like length at once."""
        order = sorted(range(len(blanks)), key=lambda i: len(blanks[i].before + blanks[i].after))
        filled: dict[int, Generated] = {}
        for start in range(0, len(order), _ROWS_AT_ONCE):
            rows = order[start : start + _ROWS_AT_ONCE]
            filled.update(zip(rows, self._fill([blanks[i] for i in rows]), strict=True))
        return [filled[i] for i in range(len(blanks))]

    def take_counts(self) -> dict[str, int]:
        """Return counts as :class:`msp.methods.base.Writer` says."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def _fill(self, blanks: Sequence[Blank]) -> list[Generated]:
        import torch

        from msp.engines.sampling import choose_tokens, stream_ids, uniforms

        logits = self._logits(blanks)
        scores = torch.full_like(logits, -math.inf)
        scores[:, self._allowed] = logits[:, self._allowed]
        for row, blank in enumerate(blanks):
            scores[row, self._tokens.get(blank.word.casefold(), [])] = -math.inf
        streams = torch.cat([stream_ids(blank.stream, 1) for blank in blanks])
        nothing = torch.zeros(len(blanks), 0, dtype=torch.int64)
        tokens, _ = choose_tokens(
            scores, generated=nothing, draws=uniforms(streams, 0), sampling=self._sampling
        )
        logprobs = logits.log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]
        return [
            Generated(self._words[token], 1, logprob)
            for token, logprob in zip(tokens.tolist(), logprobs.tolist(), strict=True)
        ]

    def _logits(self, blanks: Sequence[Blank]) -> Tensor:
        """Return what the LM expects in each blank, [N, V] float32 on the CPU."""
        import torch

        tokenizer, mask = self._lm.tokenizer, self._lm.tokenizer.mask_token
        texts = [f"{blank.before}{mask}{blank.after}" for blank in blanks]
        batch = tokenizer(texts, padding=True, return_tensors="pt").to(self._lm.device)
        self._counts["prompt_positions"] += batch["input_ids"].numel()
        self._counts["padding_positions"] += int((batch["attention_mask"] == 0).sum())
        is_mask = batch["input_ids"] == tokenizer.mask_token_id
        with torch.inference_mode():
            logits = self._lm.model(**batch).logits
        first = is_mask.int().argmax(dim=1)
        at_mask: Tensor = logits[torch.arange(len(blanks), device=logits.device), first]
        return at_mask.float().cpu()


class SentinelFiller:
    """Fills with a seq2seq LM that learned to: it writes what a sentinel stands for.

    Args:
        lm: the LM; it ends where the next sentinel would begin.
        sampling: temperature and cuts.
    """

    def __init__(self, lm: FrozenLM, sampling: GenerateConfig) -> None:
        ends = [lm.tokenizer.eos_token_id, lm.tokenizer.convert_tokens_to_ids(_NEXT_SENTINEL)]
        lm.model.generation_config.eos_token_id = ends
        self._engine = make_engine("hf", lm)
        self._sampling = sampling.model_copy(update={"max_new_tokens": _MAX_FILL_TOKENS})

    def fill(self, blanks: Sequence[Blank]) -> list[Generated]:
        """Return fillings as :class:`Filler` says; a few words at most."""
        requests = [
            Request(b.unit_id, f"{b.before}{_SENTINEL}{b.after}", None, 1, b.stream) for b in blanks
        ]
        return [texts[0] for texts in self._engine.generate(requests, self._sampling)]

    def take_counts(self) -> dict[str, int]:
        """Return what the engine counted since this was last asked."""
        return self._engine.take_counts()


def _name(config: RunConfig) -> str:
    name = config.generate.helper_model
    assert name is not None  # the config's own rule
    return name


def _is_masked_lm(name: str) -> bool:
    from msp.models.helper import is_masked_lm

    return is_masked_lm(name, setting=_SETTING, wanted=_FILLER)


def _find_seq2seq(name: str) -> LMFiles:
    from msp.models.helper import find_helper

    files = find_helper(name, setting=_SETTING, wanted=_FILLER, seq2seq_only=True)
    if _SENTINEL not in files.tokenizer.get_vocab():
        raise ConfigError(
            f"{_SETTING} is {name}, whose tokenizer has no sentinel {_SENTINEL}; name {_FILLER}."
        )
    return files


def _blank(pieces: Sequence[Piece], place: int, draft: Draft, step: int) -> Blank:
    piece = pieces[place]
    before, after = join(pieces[:place]), join(pieces[place + 1 :])
    return Blank(
        unit_id=draft.unit_id,
        before=f"{before} {piece.opening}" if before else piece.opening,
        word=piece.core,
        after=f"{piece.closing} {after}" if after else piece.closing,
        stream=candidate_stream("filling", draft.stream, step),
    )


def _filled(piece: Piece, filling: str) -> Piece:
    """Return a piece with another word, if there is one, in its own word's case."""
    word = filling.strip()
    if piece.core[:1].isupper():
        word = word[:1].upper() + word[1:]
    return replace(piece, core=word or piece.core)
