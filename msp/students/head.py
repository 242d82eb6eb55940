"""The quick student: a small network on frozen sentence embeddings, trained in seconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msp.config import StudentConfig
from msp.students.examples import Floats, TrainingSet, draw_batches

_WEIGHT_DECAY = 0.01


class HeadStudent(nn.Module):
    """One hidden layer over an embedding, one logit per label.

    Args:
        dimension: of the embeddings, D.
        num_labels: A.
        hidden_size: units of the hidden layer.
        dropout: of the hidden layer.
        noise: standard deviation, per dimension of variance 1, of what is added to
            embeddings in training.
    """

    def __init__(
        self,
        dimension: int,
        num_labels: int,
        *,
        hidden_size: int,
        dropout: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        # Vectors of length 1 have entries near 1 / sqrt(D); layers start best at variance 1.
        self.scale = dimension**0.5
        self.noise = noise
        self.hidden = nn.Linear(dimension, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, num_labels)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return logits [B, A] of embeddings [B, D] of length 1."""
        inputs = embeddings * self.scale
        if self.training and self.noise:
            inputs = inputs + self.noise * torch.randn_like(inputs)
        logits: Tensor = self.output(self.dropout(torch.relu(self.hidden(inputs))))
        return logits


def train_head(
    config: StudentConfig, training: TrainingSet, embeddings: Floats, *, seed: int
) -> HeadStudent:
    """Return a head that has learned for ``num_steps`` steps, in evaluation mode.

    The same seed gives the same initial weights, batches and noise; the caller's random
    state is left alone.

    Args:
        config: the student section.
        training: N examples.
        embeddings: [N, D], of the training set's texts.
        seed: of this training.

    Raises:
        TaskDataError: there is no example.
    """
    batches = draw_batches(training, config, seed)
    # A copy: shared memory is read-only, which torch cannot express.
    inputs = torch.tensor(embeddings)
    targets = torch.from_numpy(training.gold).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = new_head(config, inputs.shape[1], targets.shape[1])
        optimizer = torch.optim.AdamW(
            student.parameters(), lr=config.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        for rows in batches:
            logits = student(inputs[rows])
            loss = label_loss(logits, targets[rows], is_single=training.is_single)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return student.eval()


def new_head(config: StudentConfig, dimension: int, num_labels: int) -> HeadStudent:
    """Return an untrained head of the configured size, initialised from torch's random state."""
    return HeadStudent(
        dimension,
        num_labels,
        hidden_size=config.hidden_size,
        dropout=config.dropout,
        noise=config.embedding_noise,
    )


def head_probabilities(
    student: HeadStudent, embeddings: Floats, *, is_single: bool = False
) -> Floats:
    """Return [N, A] probabilities of embeddings [N, D]; with ``is_single`` a row sums to 1."""
    with torch.inference_mode():
        return label_probabilities(student(torch.tensor(embeddings)), is_single=is_single)


def label_loss(logits: Tensor, targets: Tensor, *, is_single: bool) -> Tensor:
    """Return the cross-entropy over each label on its own, or over the one label that is right.

    Args:
        logits: [B, A].
        targets: [B, A], 1 where the example carries the label.
        is_single: whether a row of targets has exactly one 1.
    """
    if is_single:
        return nn.functional.cross_entropy(logits, targets)
    return nn.functional.binary_cross_entropy_with_logits(logits, targets)


def label_probabilities(logits: Tensor, *, is_single: bool) -> Floats:
    """Return what logits [B, A] say of each label, in float32."""
    shares = torch.softmax(logits, dim=-1) if is_single else torch.sigmoid(logits)
    probabilities: Floats = shares.float().cpu().numpy()
    return probabilities
