"""The thorough student: a sentence encoder's body with a linear layer, all weights trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from msp.config import StudentConfig
from msp.models.encoder import SentenceEncoder, load_encoder, mean_pool
from msp.students.examples import Floats, TrainingSet, draw_batches
from msp.students.head import label_loss, label_probabilities

_WEIGHT_DECAY = 0.01
_WARMUP_FRACTION = 0.1
_DROPOUT = 0.1


class FinetunedStudent(nn.Module):
    """A transformer body, mean pooling, and one logit per label.

    Args:
        body: the encoder's own module; training changes it.
        dimension: hidden size of the body.
        num_labels: A.
    """

    def __init__(self, body: nn.Module, dimension: int, num_labels: int) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(_DROPOUT)
        self.output = nn.Linear(dimension, num_labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits [B, A] of token ids and mask, [B, T] each."""
        hidden = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits: Tensor = self.output(self.dropout(mean_pool(hidden, attention_mask)))
        return logits


@dataclass(frozen=True)
class Body:
    """What a student is fine-tuned from.

    Args:
        name: as the config has it.
        dimension: its hidden size.
        model: a :class:`msp.models.encoder.SentenceEncoder`, or a
            :class:`msp.models.frozen_lm.FrozenLM`.
    """

    name: str
    dimension: int
    model: Any


class EncoderBased:
    """What kinds of student have in common whose body is a sentence encoder."""

    def load(self, config: StudentConfig, *, device: str) -> Body:
        """See :class:`msp.students.kinds.Learner`."""
        encoder = load_encoder(config.encoder, device=device)
        return Body(config.encoder, encoder.dimension, encoder)


@dataclass(frozen=True)
class Workers:
    """How this process takes part in a training by one or several.

    Args:
        rank: of this process, from 0.
        world_size: number of processes.
        wrap: returns a module whose gradients are averaged over the processes.
    """

    rank: int = 0
    world_size: int = 1
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module


ALONE = Workers()


def train_finetuned(
    config: StudentConfig,
    training: TrainingSet,
    encoder: SentenceEncoder,
    *,
    seed: int,
    workers: Workers = ALONE,
) -> FinetunedStudent:
    """Return a student that has learned for ``num_steps`` steps, in evaluation mode.

    The encoder's body is trained in place. Every worker takes its share of the
    same batches, so the steps are those of one worker alone.

    Args:
        config: the student section.
        training: N examples.
        encoder: freshly loaded.
        seed: of this training.
        workers: how this process takes part in a training by several; alone by default.

    Raises:
        TaskDataError: there is no example.
    """
    batches = draw_batches(training, config, seed)[:, workers.rank :: workers.world_size]
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        student = FinetunedStudent(encoder.body, encoder.dimension, training.gold.shape[1])
        student.to(encoder.device).train()
        # Weights are alike everywhere, dropout is not.
        torch.manual_seed(seed + workers.rank)
        wrapped = workers.wrap(student)
        step = Step(config, student.output, student.body, len(batches))
        targets = torch.from_numpy(training.gold).float()
        for rows in batches:
            tokens = encoder.tokenize([training.texts[row] for row in rows])
            gold = targets[rows].to(encoder.device)
            step(label_loss(wrapped(**tokens), gold, is_single=training.is_single))
    return student.eval()


def finetuned_probabilities(
    student: FinetunedStudent,
    encoder: SentenceEncoder,
    texts: Sequence[str],
    *,
    is_single: bool = False,
) -> Floats:
    """Return [N, A] probabilities; batches hold texts of like length.

    With ``is_single`` a row sums to 1: one label is right.
    """
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    probabilities = np.zeros((len(texts), student.output.out_features), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            logits = student(**encoder.tokenize([texts[i] for i in rows]))
            probabilities[rows] = label_probabilities(logits, is_single=is_single)
    return probabilities


class Step:
    """One optimiser step; what is new learns faster than the body.

    Args:
        config: both learning rates.
        output: the new layers.
        body: the encoder's.
        num_steps: of the training, over which the rates rise and fall.
    """

    def __init__(
        self, config: StudentConfig, output: nn.Module, body: nn.Module, num_steps: int
    ) -> None:
        groups = [
            {"params": output.parameters(), "lr": config.learning_rate},
            {"params": body.parameters(), "lr": config.encoder_learning_rate},
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=_WEIGHT_DECAY)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, warm_up_then_down(num_steps)
        )

    def __call__(self, loss: Tensor) -> None:
        """Lower the loss."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()


def warm_up_then_down(num_steps: int) -> Callable[[int], float]:
    """Return step -> share of the learning rate: a linear rise, then a linear fall to zero."""
    warmup = max(1, round(_WARMUP_FRACTION * num_steps))
    return lambda step: min((step + 1) / warmup, (num_steps - step) / num_steps)
