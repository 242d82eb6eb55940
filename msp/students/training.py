"""One training of one arm, as it is kept: its scores are committed last, so they mark it done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.students.arms import SetName
from msp.students.examples import LabelledTexts
from msp.students.kinds import Learner
from msp.students.saved import StudentModule, save_student


@dataclass(frozen=True)
class Training:
    """Which training: everything else follows from the config and the data.

    Args:
        arm: what it learns from.
        seed: of its initial weights, batches and noise.
        content_hash: of what it learns from; scores for other data do not count.
        is_saved: whether its student is the one that the run keeps.
        part: of what the arm learns from; empty for all of it; see :mod:`msp.students.arms`.
    """

    arm: layout.Arm
    seed: int
    content_hash: str
    is_saved: bool
    part: str = ""

    @property
    def key(self) -> str:
        """Where its scores are."""
        part = f"{self.part}-" if self.part else ""
        return layout.student_key(self.arm, f"{part}seed-{self.seed}.json")

    @property
    def learns(self) -> SetName:
        """What it learns from."""
        return SetName(self.arm, self.part)


@dataclass(frozen=True)
class Evaluation:
    """What a trained student is scored on.

    Args:
        dev: chooses the threshold; may be empty.
        test: gives the figures.
        learner: the kind of student.
        further: further test splits by name; their figures have it in theirs.
    """

    dev: LabelledTexts
    test: LabelledTexts
    learner: Learner
    further: Mapping[str, LabelledTexts] = field(default_factory=dict)

    @property
    def splits(self) -> list[LabelledTexts]:
        """Dev, test and what is further, in this order."""
        return [self.dev, self.test, *self.further.values()]

    def score(self, answers: Sequence[Any]) -> dict[str, Any]:
        """Return the scores of a student's answers to :attr:`splits`."""
        dev = (answers[0], self.dev)
        scores = self.learner.score(dev, (answers[1], self.test))
        for (name, split), said in zip(self.further.items(), answers[2:], strict=True):
            found = self.learner.score(dev, (said, split))["metrics"]
            scores["metrics"] |= {f"{metric}_on_{name}": value for metric, value in found.items()}
        return scores


def finished_scores(store: ObjectStore, training: Training) -> dict[str, Any] | None:
    """Return the scores that a training has committed; None where it is still to be done.

    Scores that learned from other data, or that no longer read as JSON, are none.
    """
    if not store.exists(training.key):
        return None
    try:
        found = json.loads(store.read(training.key))
    except ValueError:
        return None
    matches = isinstance(found, dict) and found.get("content_hash") == training.content_hash
    return found if matches else None


def commit_training(
    store: ObjectStore,
    training: Training,
    module: StudentModule,
    *,
    answers: Sequence[Any],
    evaluation: Evaluation,
    described_as: tuple[str, str, int],
) -> None:
    """Make the store hold a training's scores, and before them its student where it is kept.

    Args:
        store: of the run.
        training: which one it was.
        module: what it made.
        answers: what the student says of each of the evaluation's splits.
        evaluation: the splits.
        described_as: ``head`` or ``finetune``, and its body's name and dimension.
    """
    scores = evaluation.score(answers)
    if training.is_saved:
        kind, name, dimension = described_as
        description = evaluation.learner.describe(kind, (name, dimension), module, scores)
        save_student(store, training.arm, module, description)
    store.write(training.key, json.dumps({**asdict(training), **scores}, sort_keys=True).encode())
