"""Seed examples said in other words by a model: paraphrased, or translated there and back.

Paraphrasing and round-trip translation are two baselines of MSP (arXiv 2303.01580, section 4);
the second is back-translation (Sennrich et al., arXiv 1511.06709) within one language. Both
take any checkpoint and sample with the run's temperature and top-p.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msp.config import GenerateConfig, RunConfig
from msp.engines import make_engine
from msp.engines.base import Engine, Request
from msp.errors import ConfigError
from msp.methods.base import Opening, candidate_stream
from msp.methods.rewriting import Draft, RewritingWriter, added
from msp.records import Generated
from msp.tasks.base import TaskData

if TYPE_CHECKING:
    from msp.models.lm_files import LMFiles

_PARAPHRASER = (
    "a seq2seq or causal paraphraser with safetensors weights, such as a T5 that was trained to "
    "paraphrase"
)
_TRANSLATOR = (
    "a seq2seq translator with safetensors weights, such as one of a pair of Helsinki-NLP/opus-mt"
)
# A helper's prompt, end token and the like, which its positions must hold, too.
_MARKS = 2


def open_paraphrase(opening: Opening) -> RewritingWriter:
    """Return the writer that asks ``generate.helper_model`` for the text in other words.

    Raises:
        ConfigError: as :func:`check_paraphrase`.
    """
    config = opening.config
    if config.generate.engine == "scripted":
        return stand_in(opening)
    files = _find_paraphraser(config)
    return RewritingWriter(_rewriter(files, config, prompt=config.generate.helper_prompt))


def open_round_trip(opening: Opening) -> RewritingWriter:
    """Return the writer that translates there and back.

    Raises:
        ConfigError: as :func:`check_round_trip`.
    """
    config = opening.config
    if config.generate.engine == "scripted":
        return stand_in(opening)
    there, back = (_rewriter(files, config) for files in _find_translators(config))
    return RewritingWriter(RoundTrip(there, back))


def stand_in(opening: Opening) -> RewritingWriter:
    """Return a writer with the scripted engine, which stands in for any checkpoint."""
    return RewritingWriter(EngineRewriter(make_engine("scripted", None), opening.config.generate))


def check_paraphrase(config: RunConfig, task: TaskData) -> None:
    """Pass where the paraphraser is there and takes every seed example.

    Raises:
        ConfigError: it is not, or does not.
    """
    if config.generate.engine != "scripted":
        prompt = config.generate.helper_prompt
        check_lengths(_find_paraphraser(config), config, task, prompt=prompt)


def check_round_trip(config: RunConfig, task: TaskData) -> None:
    """Pass where both translators are there and the first takes every seed example.

    Raises:
        ConfigError: they are not, or it does not.
    """
    if config.generate.engine != "scripted":
        there, _ = _find_translators(config)
        check_lengths(there, config, task)


def check_lengths(
    files: LMFiles, config: RunConfig, task: TaskData, *, prompt: str = "{text}"
) -> None:
    """Pass where a helper's positions hold every seed example.

    Raises:
        ConfigError: names one that they do not.
    """
    room = _room(files, config.generate)
    for example in task.seeds:
        if not _fits(files, _filled(prompt, example.text), room):
            raise ConfigError(
                f"generate.helper_model is {files.name}, with {files.max_positions} positions; "
                f"seed example {example.uid} does not fit. Name a model with more, shorten the "
                "example or generate.helper_prompt, or lower generate.max_new_tokens."
            )


class EngineRewriter:
    """Writes with an engine what a prompt asks for.

    Args:
        engine: writes one text a request.
        sampling: how.
        prompt: with ``{text}`` where the text goes.
        fits: whether the engine's model takes a prompt; one that it does not take gives an
            empty text.
    """

    def __init__(
        self,
        engine: Engine,
        sampling: GenerateConfig,
        *,
        prompt: str = "{text}",
        fits: Callable[[str], bool] = lambda prompt: True,
    ) -> None:
        self._engine = engine
        self._sampling = sampling
        self._prompt = prompt
        self._fits = fits

    def rewrite(self, drafts: Sequence[Draft]) -> list[Generated]:
        """Return texts as :class:`msp.methods.rewriting.Rewriter` says."""
        prompts = [_filled(self._prompt, draft.text) for draft in drafts]
        requests = [
            Request(draft.unit_id, prompt, None, int(self._fits(prompt)), draft.stream)
            for draft, prompt in zip(drafts, prompts, strict=True)
        ]
        made = self._engine.generate(requests, self._sampling)
        return [texts[0] if texts else Generated("", 0, 0.0) for texts in made]

    def take_counts(self) -> dict[str, int]:
        """Return what the engine counted since this was last asked."""
        return self._engine.take_counts()


class RoundTrip:
    """Makes a text over twice, the second time from what the first gave.

    Args:
        there: into another language.
        back: out of it.
    """

    def __init__(self, there: EngineRewriter, back: EngineRewriter) -> None:
        self._there = there
        self._back = back

    def rewrite(self, drafts: Sequence[Draft]) -> list[Generated]:
        """Return texts as :class:`msp.methods.rewriting.Rewriter` says; both ways' tokens count."""
        abroad = self._there.rewrite(drafts)
        drafts = [
            dataclasses.replace(
                draft, text=text.text, stream=candidate_stream("back", draft.stream)
            )
            for draft, text in zip(drafts, abroad, strict=True)
        ]
        home = self._back.rewrite(drafts)
        return [
            Generated(b.text if a.text else "", a.num_tokens + b.num_tokens, a.logprob + b.logprob)
            for a, b in zip(abroad, home, strict=True)
        ]

    def take_counts(self) -> dict[str, int]:
        """Return what both engines counted since this was last asked."""
        return added(self._there.take_counts(), self._back.take_counts())


def _find_paraphraser(config: RunConfig) -> LMFiles:
    from msp.models.helper import find_helper

    name = config.generate.helper_model
    assert name is not None  # the config's own rule
    return find_helper(name, setting="generate.helper_model", wanted=_PARAPHRASER)


def _find_translators(config: RunConfig) -> tuple[LMFiles, LMFiles]:
    from msp.models.helper import find_helper

    def find(setting: str) -> LMFiles:
        name = getattr(config.generate, setting)
        return find_helper(
            name, setting=f"generate.{setting}", wanted=_TRANSLATOR, seq2seq_only=True
        )

    return find("helper_model"), find("helper_model_back")


def _rewriter(files: LMFiles, config: RunConfig, *, prompt: str = "{text}") -> EngineRewriter:
    from msp.models.helper import load_helper

    sampling = config.generate
    room = _room(files, sampling)
    if files.is_encoder_decoder:
        # A decoder has positions of its own; one is its start.
        most = min(sampling.max_new_tokens, files.max_positions - _MARKS)
        sampling = sampling.model_copy(update={"max_new_tokens": most})
    return EngineRewriter(
        make_engine("hf", load_helper(files, dtype=config.model.dtype)),
        sampling,
        prompt=prompt,
        fits=lambda prompt: _fits(files, prompt, room),
    )


def _room(files: LMFiles, generate: GenerateConfig) -> int:
    return files.max_positions - (0 if files.is_encoder_decoder else generate.max_new_tokens)


def _fits(files: LMFiles, prompt: str, room: int) -> bool:
    return len(files.text_ids([prompt])[0]) <= room


def _filled(prompt: str, text: str) -> str:
    # No format string: a text may hold braces, and so may the rest of a prompt.
    return prompt.replace("{text}", " ".join(text.split()))
