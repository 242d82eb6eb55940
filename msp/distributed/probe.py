"""The quick student: heads on embeddings that are made once, trained and asked as Ray tasks.

A head tells two data sets apart in seconds. It is the signal of what decides
by a student's score before the run's own students are trained, and sees no test example.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import ray

from msp.config import RunConfig, StudentConfig
from msp.distributed import placement
from msp.distributed.student_worker import TASK_OPTIONS, embed_texts, gather, set_threads
from msp.errors import ConfigError
from msp.improve.crossfit import Fold, Kept, pooled
from msp.improve.measure import Measure, make_measure
from msp.improve.outcomes import learnable, outcomes
from msp.students.examples import LabelledTexts, TrainingSet, labelled_texts, training_set_of
from msp.students.kinds import Features, HeadLearner, make_learner
from msp.students.label_texts import label_texts
from msp.tasks.base import TaskData

Split = TypeVar("Split", bound=LabelledTexts)


class Probe:
    """Trains heads on folds and scores them; holds the features of every text it has met.

    Args:
        config: the run's; ``student`` and ``seed`` define the trainings.
        task: the task's data; its test examples are not looked at.
        folds: what is trained on and scored.
        num_trainings: of each fold.
        is_local: train in this process, one after the other, instead of in Ray tasks.

    Raises:
        ConfigError: the task's answers are options of each question's own, or written out.
    """

    def __init__(
        self,
        config: RunConfig,
        task: TaskData,
        folds: Sequence[Fold],
        num_trainings: int,
        *,
        is_local: bool = False,
    ) -> None:
        self._config, self._folds, self._num_trainings = config, folds, num_trainings
        self._task = pooled(task, folds)
        learner = make_learner(self._task, ["standard"])
        if not isinstance(learner, HeadLearner) or task.kind == "choice":
            raise ConfigError(
                f"task.name is {config.task.name}, whose answers are no labels of the ontology; "
                "a loop and a search tell by these where the student is weak."
            )
        self._learner: HeadLearner = learner
        self._label_texts = (
            label_texts(task.ontology, task.kind) if config.student.label_text_weight else ()
        )
        self._labels = [attribute.name for attribute in task.ontology.attributes]
        self._held = [labelled_texts(fold.held, self._labels, task.kind) for fold in folds]
        self._features: dict[str, Any] = {}
        self._is_local = is_local

    def local(self, *, seed_offset: int = 0) -> Probe:
        """Return one that holds the same features and trains in the process that asks it.

        Args:
            seed_offset: added to the run's seed, for other initial weights.
        """
        config = self._config.model_copy(update={"seed": self._config.seed + seed_offset})
        found = Probe(config, self._task, self._folds, self._num_trainings, is_local=True)
        found._features = self._features
        return found

    def embed(self, kept: Sequence[Kept]) -> None:
        """Hold the features of synthetic examples and of all that is real."""
        examples = [one.example for one in kept]
        kind = self._task.kind
        parts = (examples, self._task.seeds, self._label_texts)
        self._embed([*(labelled_texts(part, self._labels, kind) for part in parts), *self._held])

    def measure(
        self, number: int, kept: Sequence[Kept], *, synthetic_weight: float | None = None
    ) -> Measure:
        """Return what students of the real examples and of these synthetic ones get right.

        Args:
            number: that the measurement gets.
            kept: synthetic examples; none for the students of the real ones alone.
            synthetic_weight: in place of ``student.synthetic_weight``.
        """
        started = time.monotonic()
        config = self._config.student
        if synthetic_weight is not None:
            config = config.model_copy(update={"synthetic_weight": synthetic_weight})
        sets = [self._training_set(config, fold, kept) for fold in self._folds]
        self._embed([*sets, *self._held])
        with placement.ours_out_of_rays():
            answers = self._answers(config, sets)
        trainings = [
            list(chain.from_iterable(map(learnable, self._folds, found)))
            for said in answers
            for found in [outcomes(self._task, self._held, said, self._labels)]
        ]
        return make_measure(
            number,
            [example for fold in self._folds for example in fold.held],
            trainings,
            num_synthetic=max(found.num_synthetic for found in sets),
            seconds=time.monotonic() - started,
        )

    def _training_set(self, config: StudentConfig, fold: Fold, kept: Sequence[Kept]) -> TrainingSet:
        task = replace(self._task, seeds=fold.training)
        return training_set_of(
            task,
            fold.allowed(kept),
            config=config,
            seed=self._config.seed,
            label_texts=self._label_texts,
        )

    def _embed(self, splits: Sequence[LabelledTexts]) -> None:
        texts = {text: None for split in splits for text in self._learner.inputs(split)}
        new = [text for text in texts if text not in self._features]
        if new:
            with placement.ours_out_of_rays():
                self._features |= embed_texts(self._config.student, self._learner, new)

    def _answers(self, config: StudentConfig, sets: Sequence[TrainingSet]) -> list[list[Any]]:
        """Return what is said of each fold, by training."""
        if self._is_local:
            return self._answers_here(config, sets)
        train = ray.remote(_train_and_answer).options(**TASK_OPTIONS)
        learner = self._learner
        references = []
        for learned_from, held in zip(sets, self._held, strict=True):
            material = ray.put((self._with_features(learned_from), self._with_features(held)))
            references.append(
                [
                    train.remote(config, learner, material, self._config.seed + k)
                    for k in range(self._num_trainings)
                ]
            )
        found = [ray.get(of_fold) for of_fold in references]
        return [[of_fold[k] for of_fold in found] for k in range(self._num_trainings)]

    def _answers_here(self, config: StudentConfig, sets: Sequence[TrainingSet]) -> list[list[Any]]:
        return [
            [
                _train_and_answer(
                    config,
                    self._learner,
                    (self._with_features(learned_from), self._with_features(held)),
                    self._config.seed + k,
                )
                for learned_from, held in zip(sets, self._held, strict=True)
            ]
            for k in range(self._num_trainings)
        ]

    def _with_features(self, split: Split) -> tuple[Split, Features]:
        return split, gather(self._features, self._learner.inputs(split))


def _train_and_answer(
    config: StudentConfig,
    learner: HeadLearner,
    material: tuple[tuple[TrainingSet, Features], tuple[LabelledTexts, Features]],
    seed: int,
) -> Any:
    set_threads()
    (learned_from, features), (held, seen) = material
    head = learner.train_head(config, learned_from, features, seed=seed)
    return learner.answers(head, held, seen)
