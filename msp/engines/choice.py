"""A frozen LM that chooses: the log-likelihood of each option after a text, and nothing is written.

The question has the form that the shipped LM was pre-trained on
(:meth:`msp.models.pretrain.plain_forms.PlainForms.labels`). A question is computed once,
and its options continue it together, as candidates continue a unit's prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msp.engines.base import Question
from msp.engines.hf_causal import CausalPrefill
from msp.engines.hf_seq2seq import Seq2SeqPrefill
from msp.errors import ConfigError

if TYPE_CHECKING:
    from msp.models.frozen_lm import FrozenLM

# Questions in one forward pass. Fixed, so that an answer does not depend on the memory of
# the machine that gives it.
_QUESTIONS = 32


class LMChooser:
    """Chooses the option whose name the LM finds likeliest, in log-likelihood summed over tokens.

    The line's end is part of a name's likelihood, so that ``transfer`` does not
    win by being the beginning of ``transfer fee``. Questions are sorted by length before
    they are computed together; an answer differs from one that was computed alone by
    rounding at most.

    Args:
        lm: the frozen LM, on the device where it is to run.
    """

    def __init__(self, lm: FrozenLM) -> None:
        self._lm = lm
        self._prefill = Seq2SeqPrefill if lm.is_encoder_decoder else CausalPrefill

    def choose(self, questions: Sequence[Question]) -> list[int]:
        """Return the place of the likeliest option of each question, of equal ones the first.

        Raises:
            ConfigError: the options alone are longer than the LM's context.
        """
        return [max(range(len(row)), key=row.__getitem__) for row in self.scores(questions)]

    def scores(self, questions: Sequence[Question]) -> list[list[float]]:
        """Return the log-likelihood of each option of each question; see :meth:`choose`."""
        answers = [self._answers(question) for question in questions]
        prompts = [self._prompt(*row) for row in zip(questions, answers, strict=True)]
        order = sorted(range(len(questions)), key=lambda i: (-len(prompts[i]), questions[i]))
        found: list[list[float]] = [[] for _ in questions]
        for start in range(0, len(order), _QUESTIONS):
            batch = order[start : start + _QUESTIONS]
            scores = self._scored([prompts[i] for i in batch], [answers[i] for i in batch])
            for i in batch:
                number = len(answers[i])
                found[i], scores = scores[:number], scores[number:]
        return found

    def _answers(self, question: Question) -> list[list[int]]:
        return self._lm.files.target_ids([f" {option}\n" for option in question.options])

    def _prompt(self, question: Question, answers: Sequence[Sequence[int]]) -> list[int]:
        """Return the question's tokens.

        Where it does not fit, the farthest class's examples are left out first, and the
        text's last words when there are none left.
        """
        room = self._lm.max_positions
        if not self._lm.is_encoder_decoder:
            room -= max(map(len, answers))
        words = question.text.split()
        while True:
            (ids,) = self._lm.files.text_ids([render_question(question)])
            if len(ids) <= room:
                return ids
            if question.shown:
                question = question._replace(shown=question.shown[1:])
                continue
            if not words:
                raise ConfigError(
                    f"denoise.relabel_shortlist: a question with {len(question.options)} classes "
                    f"takes {len(ids)} tokens, but the model {self._lm.name} has "
                    f"{self._lm.max_positions} positions; use a shorter shortlist."
                )
            words = words[: len(words) * max(room, 0) // len(ids)]
            question = question._replace(text=" ".join(words))

    @torch.inference_mode()
    def _scored(
        self, prompts: Sequence[list[int]], answers: Sequence[list[list[int]]]
    ) -> list[float]:
        """Return the answers' log-likelihoods, one question's after the other's.

        Args:
            prompts: U questions, the longest first.
            answers: of each question the tokens of its options.
        """
        device = self._lm.device
        embedded = [self._lm.embedding(torch.tensor(ids, device=device)) for ids in prompts]
        units = torch.arange(len(prompts)).repeat_interleave(torch.tensor([*map(len, answers)]))
        tokens, lengths = _padded([row for options in answers for row in options], device)
        rows = self._prefill(self._lm.model, embedded).rows(units.to(device), room=tokens.shape[1])
        scores = torch.zeros(len(tokens), device=device)
        alive = torch.arange(len(tokens), device=device)
        for column in range(tokens.shape[1]):
            said = rows.logits.float().log_softmax(dim=-1)
            scores[alive] += said.gather(1, tokens[alive, column][:, None])[:, 0]
            going = (lengths[alive] > column + 1).nonzero()[:, 0]
            if not going.numel():
                break
            if going.numel() < alive.numel():
                rows.keep(going)
                alive = alive[going]
            rows.step(tokens[alive, column])
        found: list[float] = scores.tolist()
        return found


def render_question(question: Question) -> str:
    """Return the question, which ends with ``Label:``, after the examples in the same form.

    Options stand in alphabetical order, which says nothing of how near they are.
    """
    options = "; ".join(sorted(question.options))

    def asked(text: str) -> str:
        return f"Sentence: {' '.join(text.split())}\nOptions: {options}\nLabel:"

    shown = [f"{asked(text)} {label}\n" for text, label in question.shown]
    return "\n".join([*shown, asked(question.text)])


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return [N, T] tokens, zeros at the end, and [N] lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor(row)
    return tokens.to(device), lengths.to(device)
