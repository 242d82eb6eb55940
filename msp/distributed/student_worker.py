"""What a worker does to train students: embed texts, train heads, or fine-tune together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.train
import ray.train.torch

from msp.config import StudentConfig
from msp.storage.store import ObjectStore
from msp.students.arms import SetName
from msp.students.examples import TrainingSet
from msp.students.kinds import Features, HeadLearner
from msp.students.training import Evaluation, Training, commit_training, finished_scores

_NUM_CPUS = 1
# A killed worker's task is done again elsewhere.
TASK_OPTIONS: dict[str, Any] = {"num_cpus": _NUM_CPUS, "max_retries": 3}
# Texts that one task embeds: seconds of work, and a start of the encoder is about two.
_EMBED_CHUNK = 8192


@dataclass(frozen=True)
class StudentWork:
    """Every training that is missing, with all that it needs.

    Args:
        config: the student section.
        store: where scores are committed.
        trainings: in the order in which they are done.
        training_sets: what is learned from; see ``Training.learns``.
        evaluation: what students are scored on.
        labels: of the nodes that finetune; empty for any.
    """

    config: StudentConfig
    store: ObjectStore
    trainings: tuple[Training, ...]
    training_sets: Mapping[SetName, TrainingSet]
    evaluation: Evaluation
    labels: dict[str, str] = field(default_factory=dict)


def embed_texts(
    config: StudentConfig, learner: HeadLearner, texts: Sequence[str]
) -> dict[str, Any]:
    """Return text -> features, each text encoded once, in Ray tasks that are retried if killed."""
    unique = list(dict.fromkeys(texts))
    embed = ray.remote(_embed).options(**TASK_OPTIONS, num_gpus=min(1, config.gpus_per_worker))
    chunks = [unique[i : i + _EMBED_CHUNK] for i in range(0, len(unique), _EMBED_CHUNK)]
    parts = ray.get([embed.remote(config, learner, chunk) for chunk in chunks])
    return dict(zip(unique, (vector for part in parts for vector in part), strict=True))


def _embed(config: StudentConfig, learner: HeadLearner, texts: list[str]) -> Features:
    from msp.models.encoder import load_encoder

    set_threads()
    return learner.embed(load_encoder(config.encoder, device=_device(config)), texts)


def train_and_commit_head(
    config: StudentConfig,
    store: ObjectStore,
    training: Training,
    learned_from: tuple[TrainingSet, Features],
    scored_on: tuple[Evaluation, Sequence[Features]],
) -> float:
    """Train one head, commit it, and return how many seconds that took.

    Args:
        config: the student section.
        store: of the run.
        training: which arm and seed.
        learned_from: the arm's training set and its features, one array a text.
        scored_on: the evaluation, and the features of each of its splits.
    """
    set_threads()
    started = time.monotonic()
    training_set, features = learned_from
    evaluation, seen = scored_on
    learner = evaluation.learner
    assert isinstance(learner, HeadLearner)
    head = learner.train_head(config, training_set, features, seed=training.seed)
    answers = [
        learner.answers(head, split, found)
        for split, found in zip(evaluation.splits, seen, strict=True)
    ]
    commit_training(
        store,
        training,
        head,
        answers=answers,
        evaluation=evaluation,
        described_as=("head", config.encoder, learner.dimension(features)),
    )
    return time.monotonic() - started


def finetune_loop(work_by_name: dict[str, Any]) -> None:
    """Fine-tune every missing student, one after the other, all workers on each.

    A Ray Train function: a restarted group of workers goes on with the first
    training that has not been committed. Only rank 0 scores and commits.
    """
    work: StudentWork = work_by_name["work"]
    set_threads()
    # Listed before any step, which needs all workers: so all see the same.
    missing = [t for t in work.trainings if finished_scores(work.store, t) is None]
    for training in missing:
        _finetune(work, training)


def _finetune(work: StudentWork, training: Training) -> None:
    from msp.students.finetune import Workers

    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size(), _average_gradients)
    learner = work.evaluation.learner
    learned_from = work.training_sets[training.learns]
    body = learner.load(work.config, device=_device(work.config))
    student = learner.finetune(
        work.config, learned_from, body.model, seed=training.seed, workers=workers
    )
    if workers.rank:
        return
    answers = [learner.answers(student, split, body.model) for split in work.evaluation.splits]
    commit_training(
        work.store,
        training,
        student,
        answers=answers,
        evaluation=work.evaluation,
        described_as=("finetune", body.name, body.dimension),
    )


def _average_gradients(module: Any) -> Any:
    # Some bodies have a pooler that mean pooling passes by; its gradients never come.
    return ray.train.torch.prepare_model(
        module, parallel_strategy_kwargs={"find_unused_parameters": True}
    )


def _device(config: StudentConfig) -> str:
    # What was not asked of Ray is not ours, even where it can be seen.
    return "auto" if config.gpus_per_worker else "cpu"


def set_threads() -> None:
    """Leave this process as many torch threads as its task has CPUs."""
    # Two processes with two torch threads each on two cores run ten times slower than one.
    import torch

    torch.set_num_threads(_NUM_CPUS)


def gather(features: dict[str, Any], texts: Sequence[str]) -> Features:
    """Return the features of some of the texts that were embedded, one array a text."""
    return [features[text] for text in texts]
