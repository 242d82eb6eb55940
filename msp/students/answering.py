"""The student that writes its answers: a small LM, all of whose weights learn from worked examples.

It goes on from a question with its answer on one line, and answers with the likeliest
line. What it is judged by is the share of right ones (:mod:`msp.metrics.answers`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from msp.config import GenerateConfig, ModelConfig, StudentConfig
from msp.engines.lines import likeliest_lines
from msp.errors import CheckpointError, StorageError, TaskDataError
from msp.metrics.answers import is_right
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.prompts.encode import EncodedExample
from msp.prompts.objective import TuningObjective, collate
from msp.prompts.soft import InstructionPrompt
from msp.prompts.text import render_target
from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.students.examples import LabelledTexts, TrainingSet, draw_batches
from msp.students.finetune import ALONE, Body, Workers, warm_up_then_down
from msp.students.saved import DESCRIPTION, WEIGHTS, AnsweringStudent, Description
from msp.students.score import percent_right
from msp.tasks.base import Kind

_WEIGHT_DECAY = 0.01
# Kept with the scores, to be read.
_NUM_SHOWN = 20


@dataclass(frozen=True)
class Answerer:
    """The kind of student of tasks whose answers are written out; see ``Learner``.

    Args:
        kind: ``number`` or ``program``.
        metric: the name of the share of right answers.
    """

    kind: Kind
    metric: str

    def load(self, config: StudentConfig, *, device: str) -> Body:
        """Return the LM of ``student.lm``, in float32: small steps are lost in less."""
        lm = load_frozen_lm(ModelConfig(name=config.lm, dtype="float32"), device=device)
        return Body(config.lm, lm.hidden_size, lm)

    def finetune(
        self,
        config: StudentConfig,
        training: TrainingSet,
        body: FrozenLM,
        *,
        seed: int,
        workers: Workers = ALONE,
    ) -> AnsweringStudent:
        """Return the LM as it has learned, in evaluation mode."""
        return train_answering(config, training, body, seed=seed, workers=workers)

    def answers(self, module: Any, split: LabelledTexts, seen: FrozenLM) -> list[str]:
        """Return the line that the student writes for each question."""
        return _written(seen, module, split.texts)

    def score(
        self, dev: tuple[Any, LabelledTexts], test: tuple[Any, LabelledTexts]
    ) -> dict[str, Any]:
        """Return the share of right answers in percent; nothing is chosen on dev.

        Raises:
            TaskDataError: there is no test example.
            ConfigError: programs are to be run, which this machine cannot confine.
        """
        answers, split = test
        right = [
            is_right(self.kind, *row)
            for row in zip(split.texts, split.targets, answers, strict=True)
        ]
        return {
            "metrics": {self.metric: percent_right(right)},
            "per_attribute": {},
            "first_answers": list(answers[:_NUM_SHOWN]),
        }

    def describe(
        self, kind: str, body: tuple[str, int], module: Any, scores: dict[str, Any]
    ) -> Description:
        """Return what a saved student needs beside its weights."""
        name, dimension = body
        return Description("lm", name, dimension, (), 0.0, max_new_tokens=module.max_new_tokens)


def load_answering(
    store: ObjectStore, arm: layout.Arm, *, device: str = "auto"
) -> Callable[[Sequence[str]], list[str]]:
    """Return an arm's trained student: a function of questions that gives their answers.

    Raises:
        CheckpointError: there is no such student, it is damaged, or its LM is not there.
    """
    where = f"student {arm!r} at {store.uri}"
    if not store.exists(layout.student_key(arm, DESCRIPTION)):
        raise CheckpointError(f"{where} is not there; msp train makes it.")
    try:
        found = json.loads(store.read(layout.student_key(arm, DESCRIPTION)))
        name, max_new_tokens = found["encoder"], int(found["max_new_tokens"])
        lm = load_frozen_lm(ModelConfig(name=name, dtype="float32"), device=device)
        student = AnsweringStudent(lm.model, max_new_tokens)
        student.load_state_dict(load(store.read(layout.student_key(arm, WEIGHTS))))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StorageError) as error:
        raise CheckpointError(f"{where} is damaged ({error}); train it again.") from error
    return partial(_written, lm, student)


def _written(lm: FrozenLM, student: AnsweringStudent, questions: Sequence[str]) -> list[str]:
    contexts = [context_of(question) for question in questions]
    config = GenerateConfig(max_new_tokens=student.max_new_tokens)
    return likeliest_lines(lm, contexts, config)


def context_of(question: str) -> str:
    """Return what the LM goes on from."""
    return f"Question: {' '.join(question.split())}\nAnswer:"


def train_answering(
    config: StudentConfig,
    training: TrainingSet,
    lm: FrozenLM,
    *,
    seed: int,
    workers: Workers = ALONE,
) -> AnsweringStudent:
    """Return a student that has learned for ``num_steps`` steps, in evaluation mode.

    The LM's weights are trained in place. Every worker takes its share of the same
    batches, so the steps are those of one worker alone.

    Args:
        config: the student section.
        training: N questions and their answers.
        lm: freshly loaded, in float32.
        seed: of this training.
        workers: how this process takes part in a training by several; alone by default.

    Raises:
        TaskDataError: there is no example, or one does not fit the LM's context.
    """
    batches = draw_batches(training, config, seed)[:, workers.rank :: workers.world_size]
    examples = _encoded(training, lm)
    soft = InstructionPrompt(torch.zeros(0, lm.hidden_size, device=lm.device))
    objective = TuningObjective(lm, soft.requires_grad_(False), shares_instruction=False)
    lm.model.requires_grad_(True)
    wrapped = workers.wrap(objective)
    step = _Step(lm.model, config, len(batches))
    pad_id = int(lm.tokenizer.pad_token_id or 0)
    for rows in batches:
        batch = [examples[row] for row in rows]
        num_targets = sum(len(example.target) for example in batch)
        step(wrapped(collate(batch, 0, pad_id).to(lm.device)) / num_targets)
    lm.model.requires_grad_(False)
    # No answer is much longer than the longest that was ever seen.
    longest = max(len(example.target) for example in examples)
    return AnsweringStudent(lm.model, min(2 * longest, lm.max_positions // 2)).eval()


def _encoded(training: LabelledTexts, lm: FrozenLM) -> list[EncodedExample]:
    contexts = lm.files.text_ids([context_of(question) for question in training.texts])
    targets = lm.files.target_ids([render_target(answer) for answer in training.targets])
    rows = [
        EncodedExample(str(place), (), context, target, 0)
        for place, (context, target) in enumerate(zip(contexts, targets, strict=True))
    ]
    for row, question in zip(rows, training.texts, strict=True):
        if row.length > lm.max_positions:
            raise TaskDataError(
                f"the question {question[:60]!r}... and its answer take {row.length} tokens, but "
                f"the student's LM {lm.name} has {lm.max_positions} positions; lower "
                "task.max_text_chars, or name a larger student.lm."
            )
    return rows


class _Step:
    """One optimiser step of all weights."""

    def __init__(self, model: nn.Module, config: StudentConfig, num_steps: int) -> None:
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.encoder_learning_rate, weight_decay=_WEIGHT_DECAY
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, warm_up_then_down(num_steps)
        )

    def __call__(self, loss: torch.Tensor) -> None:
        """Lower the loss."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
