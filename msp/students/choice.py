"""The students of questions with options: each option gets a score, and the highest answers.

An option is scored by itself, with its question and context beside it, so one student
answers questions of any number of options, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from msp.config import StudentConfig
from msp.models.encoder import SentenceEncoder
from msp.students.examples import LabelledTexts, TrainingSet, draw_batches
from msp.students.finetune import ALONE, EncoderBased, FinetunedStudent, Step, Workers
from msp.students.head import HeadStudent
from msp.students.saved import Description, StudentModule
from msp.students.score import score_choices
from msp.tasks.questions import ChoiceQuestion

# What a head reads of an option: itself, the question, the context, and their products.
NUM_PARTS = 6
_WEIGHT_DECAY = 0.01
_BATCH = 64
# Of a padded option: below every score, and no NaN where a whole row is one.
_LOWEST = -1e9


def questions_of(split: LabelledTexts) -> list[ChoiceQuestion]:
    """Return the questions of a split."""
    return [ChoiceQuestion.of(*row) for row in zip(split.texts, split.targets, strict=True)]


def right_options(questions: Sequence[ChoiceQuestion]) -> Tensor:
    """Return [N], the place of each right option; of one that is named twice, the first."""
    return torch.tensor([question.options.index(question.label) for question in questions])


@dataclass(frozen=True)
class ChoiceTexts:
    """The texts of questions, flat, and where each question's are.

    Args:
        texts: of each question its question, its context ("" for none) and its options.
        starts: [N], the row of each question's own text.
        sizes: [N], its number of options.
    """

    texts: list[str]
    starts: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, questions: Sequence[ChoiceQuestion]) -> ChoiceTexts:
        """Return the texts of questions, in their order."""
        texts: list[str] = []
        starts: list[int] = []
        for question in questions:
            starts.append(len(texts))
            texts += [question.question, question.context or "", *question.options]
        sizes = [len(question.options) for question in questions]
        return cls(texts, torch.tensor(starts), torch.tensor(sizes))

    def inputs(self, vectors: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a head reads of some questions, and which options are there.

        Args:
            vectors: [T, D], one of length 1 for each text, zero where there is no context.
            rows: [B], the questions.

        Returns:
            [B, K, 6 D], each row of length near 1; and [B, K], true for an option, false for
            padding.
        """
        starts, sizes = self.starts[rows], self.sizes[rows]
        places = torch.arange(int(sizes.max()))
        there = places < sizes[:, None]
        option = vectors[torch.where(there, starts[:, None] + 2 + places, 0)]
        question = vectors[starts][:, None].expand_as(option)
        context = vectors[starts + 1][:, None].expand_as(option)
        # A product of two vectors of length 1 is of length near 1 once it is scaled.
        scale = vectors.shape[1] ** 0.5
        parts = [option, question, context]
        parts += [scale * a * b for a, b in ((question, option), (context, option))]
        parts.append(scale * question * context)
        return torch.cat(parts, dim=-1) / NUM_PARTS**0.5, there


def train_choice_head(
    config: StudentConfig, training: TrainingSet, features: Sequence[Any], *, seed: int
) -> HeadStudent:
    """Return a head that has learned to score options, in evaluation mode.

    Args:
        config: the student section.
        training: N questions.
        features: vectors of their texts, as :class:`ChoiceTexts` lists them.
        seed: of this training; decides weights, batches and noise alone.

    Raises:
        TaskDataError: there is no example.
    """
    batches = draw_batches(training, config, seed)
    questions = questions_of(training)
    texts, gold = ChoiceTexts.of(questions), right_options(questions)
    vectors = _vectors(texts, features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = HeadStudent(
            NUM_PARTS * vectors.shape[1],
            1,
            hidden_size=config.hidden_size,
            dropout=config.dropout,
            noise=config.embedding_noise,
        )
        optimizer = torch.optim.AdamW(
            student.parameters(), lr=config.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        for batch in batches:
            rows = torch.from_numpy(batch)
            inputs, there = texts.inputs(vectors, rows)
            loss = choice_loss(student(inputs)[..., 0], there, gold[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return student.eval()


def head_choices(
    student: HeadStudent, questions: Sequence[ChoiceQuestion], features: Sequence[Any]
) -> list[int]:
    """Return the place of the option with the highest score of each question."""
    texts = ChoiceTexts.of(questions)
    if not questions:
        return []
    vectors = _vectors(texts, features)
    said: list[int] = []
    with torch.inference_mode():
        for start in range(0, len(questions), _BATCH):
            rows = torch.arange(start, min(start + _BATCH, len(questions)))
            inputs, there = texts.inputs(vectors, rows)
            said += _masked(student(inputs)[..., 0], there).argmax(dim=1).tolist()
    return said


def finetune_choice(
    config: StudentConfig,
    training: TrainingSet,
    encoder: SentenceEncoder,
    *,
    seed: int,
    workers: Workers = ALONE,
) -> FinetunedStudent:
    """Return a student whose encoder has learned, too; see :func:`msp.students.finetune`.

    It reads each option in one text with its question and context.
    """
    batches = draw_batches(training, config, seed)[:, workers.rank :: workers.world_size]
    questions = questions_of(training)
    gold = right_options(questions)
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        student = FinetunedStudent(encoder.body, encoder.dimension, 1)
        student.to(encoder.device).train()
        # Weights are alike everywhere, dropout is not.
        torch.manual_seed(seed + workers.rank)
        wrapped = workers.wrap(student)
        step = Step(config, student.output, student.body, len(batches))
        for rows in batches:
            scores, there = _scores(wrapped, encoder, [questions[row] for row in rows])
            step(choice_loss(scores, there, gold[rows].to(encoder.device)))
    return student.eval()


def finetuned_choices(
    student: FinetunedStudent, encoder: SentenceEncoder, questions: Sequence[ChoiceQuestion]
) -> list[int]:
    """Return the place of the option with the highest score of each question."""
    said: list[int] = []
    with torch.inference_mode():
        for batch in _batches(questions):
            scores, there = _scores(student, encoder, batch)
            said += _masked(scores, there).argmax(dim=1).tolist()
    return said


def choice_loss(scores: Tensor, there: Tensor, gold: Tensor) -> Tensor:
    """Return the cross-entropy of the right option among those that are there.

    Args:
        scores: [B, K].
        there: [B, K], false for padding.
        gold: [B], the right one's place.
    """
    return nn.functional.cross_entropy(_masked(scores, there), gold)


@dataclass(frozen=True)
class Chooser(EncoderBased):
    """The student of questions with options; see :class:`msp.students.kinds.Learner`.

    Args:
        labels: the ontology's; right answers where options are fixed.
    """

    labels: tuple[str, ...]

    def inputs(self, split: LabelledTexts) -> list[str]:
        """Return questions, contexts and options; see :class:`ChoiceTexts`."""
        return ChoiceTexts.of(questions_of(split)).texts

    def embed(self, encoder: SentenceEncoder, inputs: Sequence[str]) -> Sequence[Any]:
        """See Learner."""
        return list(encoder.encode(inputs))

    def dimension(self, features: Sequence[Any]) -> int:
        """See Learner."""
        return len(features[0])

    def train_head(
        self, config: StudentConfig, training: TrainingSet, features: Sequence[Any], *, seed: int
    ) -> HeadStudent:
        """See Learner."""
        return train_choice_head(config, training, features, seed=seed)

    def finetune(
        self,
        config: StudentConfig,
        training: TrainingSet,
        body: SentenceEncoder,
        *,
        seed: int,
        workers: Workers = ALONE,
    ) -> FinetunedStudent:
        """See Learner."""
        return finetune_choice(config, training, body, seed=seed, workers=workers)

    def answers(self, module: StudentModule, split: LabelledTexts, seen: Any) -> list[str]:
        """Return each question's answer in words."""
        questions = questions_of(split)
        return answers_of(module, questions, seen)

    def score(
        self, dev: tuple[Any, LabelledTexts], test: tuple[Any, LabelledTexts]
    ) -> dict[str, Any]:
        """See Learner; nothing is chosen on dev."""
        said, split = test
        return score_choices(said, [q.label for q in questions_of(split)], self.labels)

    def describe(
        self, kind: str, body: tuple[str, int], module: Any, scores: dict[str, Any]
    ) -> Description:
        """See Learner."""
        return replace(Description(kind, *body, self.labels, 0.0), is_choice=True)


def answers_of(module: StudentModule, questions: Sequence[ChoiceQuestion], seen: Any) -> list[str]:
    """Return the answer of each question.

    Args:
        module: a student of questions with options.
        questions: to answer.
        seen: the vectors of their texts, or the encoder of a fine-tuned student.
    """
    if isinstance(module, HeadStudent):
        places = head_choices(module, questions, seen)
    else:
        assert isinstance(module, FinetunedStudent)
        places = finetuned_choices(module, seen, questions)
    return [question.options[place] for question, place in zip(questions, places, strict=True)]


def _masked(scores: Tensor, there: Tensor) -> Tensor:
    return scores.masked_fill(~there.to(scores.device), _LOWEST)


def _vectors(texts: ChoiceTexts, features: Sequence[Any]) -> Tensor:
    vectors = torch.tensor(np.asarray(features, dtype=np.float32))
    # An encoder has a vector for nothing, too.
    vectors[[row for row, text in enumerate(texts.texts) if not text]] = 0.0
    return vectors


def _scores(
    student: nn.Module, encoder: SentenceEncoder, questions: Sequence[ChoiceQuestion]
) -> tuple[Tensor, Tensor]:
    """Return [B, K] scores of the options, and which of them are there."""
    texts = [_read(question, option) for question in questions for option in question.options]
    logits = student(**encoder.tokenize(texts))[:, 0]
    sizes = torch.tensor([len(question.options) for question in questions])
    there = torch.arange(int(sizes.max())) < sizes[:, None]
    scores = torch.full(there.shape, _LOWEST, dtype=logits.dtype, device=logits.device)
    scores[there.to(logits.device)] = logits
    return scores, there


def _read(question: ChoiceQuestion, option: str) -> str:
    """Return an option in one text; the context comes last, since what is too long is cut."""
    return " ".join(part for part in (question.question, option, question.context) if part)


def _batches(questions: Sequence[ChoiceQuestion]) -> Iterator[Sequence[ChoiceQuestion]]:
    for start in range(0, len(questions), _BATCH):
        yield questions[start : start + _BATCH]
