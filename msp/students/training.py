"""One training of one arm, as it is kept: its scores are committed last, so they mark it done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.students.examples import Floats, LabelledTexts
from msp.students.head import HeadStudent
from msp.students.saved import Description, StudentModule, save_student
from msp.students.score import score_training


@dataclass(frozen=True)
class Training:
    """Which training: everything else follows from the config and the data.

    Args:
        arm: what it learns from.
        seed: of its initial weights, batches and noise.
        content_hash: of what it learns from; scores for other data do not count.
        is_saved: whether its student is the one that the run keeps.
    """

    arm: layout.Arm
    seed: int
    content_hash: str
    is_saved: bool

    @property
    def key(self) -> str:
        """Where its scores are."""
        return layout.student_key(self.arm, f"seed-{self.seed}.json")


@dataclass(frozen=True)
class Evaluation:
    """What a trained student is scored on.

    Args:
        dev: chooses the threshold; may be empty.
        test: gives the figures.
        labels: A of them, in the ontology's order.
    """

    dev: LabelledTexts
    test: LabelledTexts
    labels: tuple[str, ...]


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
    probabilities: tuple[Floats, Floats],
    evaluation: Evaluation,
    encoder: tuple[str, int],
) -> None:
    """Make the store hold a training's scores, and before them its student where it is kept.

    Args:
        store: of the run.
        training: which one it was.
        module: what it made.
        probabilities: of dev and of test.
        evaluation: the splits.
        encoder: name and dimension of the encoder.
    """
    dev, test = probabilities
    scores = score_training((dev, evaluation.dev), (test, evaluation.test), evaluation.labels)
    if training.is_saved:
        kind = "head" if isinstance(module, HeadStudent) else "finetune"
        description = Description(kind, *encoder, evaluation.labels, scores["threshold"])
        save_student(store, training.arm, module, description)
    store.write(training.key, json.dumps({**asdict(training), **scores}, sort_keys=True).encode())
