"""What a worker does to train students: embed texts, train heads, or fine-tune together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import ray.train
import ray.train.torch

from msp.config import StudentConfig
from msp.storage.store import ObjectStore
from msp.students.examples import Floats, TrainingSet
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
        training_sets: arm -> what it learns from.
        evaluation: what students are scored on.
    """

    config: StudentConfig
    store: ObjectStore
    trainings: tuple[Training, ...]
    training_sets: dict[str, TrainingSet]
    evaluation: Evaluation


def embed_texts(config: StudentConfig, texts: Sequence[str]) -> dict[str, Floats]:
    """Return text -> embedding, each text encoded once, in Ray tasks that are retried if killed."""
    unique = list(dict.fromkeys(texts))
    embed = ray.remote(_embed).options(**TASK_OPTIONS, num_gpus=min(1, config.gpus_per_worker))
    chunks = [unique[i : i + _EMBED_CHUNK] for i in range(0, len(unique), _EMBED_CHUNK)]
    parts = ray.get([embed.remote(config, chunk) for chunk in chunks])
    return dict(zip(unique, (vector for part in parts for vector in part), strict=True))


def _embed(config: StudentConfig, texts: list[str]) -> Floats:
    from msp.models.encoder import load_encoder

    _set_threads()
    return load_encoder(config.encoder, device=_device(config)).encode(texts)


def train_and_commit_head(
    config: StudentConfig,
    store: ObjectStore,
    training: Training,
    learned_from: tuple[TrainingSet, Floats],
    scored_on: tuple[Evaluation, Floats, Floats],
) -> None:
    """Train one head and commit it.

    Args:
        config: the student section.
        store: of the run.
        training: which arm and seed.
        learned_from: the arm's training set and its embeddings [N, D].
        scored_on: the splits, the embeddings of dev and those of test.
    """
    from msp.students.head import head_probabilities, train_head

    _set_threads()
    training_set, embeddings = learned_from
    evaluation, dev, test = scored_on
    head = train_head(config, training_set, embeddings, seed=training.seed)
    commit_training(
        store,
        training,
        head,
        probabilities=(head_probabilities(head, dev), head_probabilities(head, test)),
        evaluation=evaluation,
        encoder=(config.encoder, embeddings.shape[1]),
    )


def finetune_loop(work_by_name: dict[str, Any]) -> None:
    """Fine-tune every missing student, one after the other, all workers on each.

    A Ray Train function: a restarted group of workers goes on with the first
    training that has not been committed. Only rank 0 scores and commits.
    """
    work: StudentWork = work_by_name["work"]
    _set_threads()
    # Listed before any step, which needs all workers: so all see the same.
    missing = [t for t in work.trainings if finished_scores(work.store, t) is None]
    for training in missing:
        _finetune(work, training)


def _finetune(work: StudentWork, training: Training) -> None:
    from msp.models.encoder import load_encoder
    from msp.students.finetune import Workers, finetuned_probabilities, train_finetuned

    context = ray.train.get_context()
    encoder = load_encoder(work.config.encoder, device=_device(work.config))
    workers = Workers(context.get_world_rank(), context.get_world_size(), _average_gradients)
    student = train_finetuned(
        work.config, work.training_sets[training.arm], encoder, seed=training.seed, workers=workers
    )
    if workers.rank:
        return
    splits = (work.evaluation.dev, work.evaluation.test)
    dev, test = (finetuned_probabilities(student, encoder, split.texts) for split in splits)
    commit_training(
        work.store,
        training,
        student,
        probabilities=(dev, test),
        evaluation=work.evaluation,
        encoder=(work.config.encoder, encoder.dimension),
    )


def _average_gradients(module: Any) -> Any:
    # Some bodies have a pooler that mean pooling passes by; its gradients never come.
    return ray.train.torch.prepare_model(
        module, parallel_strategy_kwargs={"find_unused_parameters": True}
    )


def _device(config: StudentConfig) -> str:
    # What was not asked of Ray is not ours, even where it can be seen.
    return "auto" if config.gpus_per_worker else "cpu"


def _set_threads() -> None:
    # Two processes with two torch threads each on two cores run ten times slower than one.
    import torch

    torch.set_num_threads(_NUM_CPUS)


def stack(vectors: dict[str, Floats], texts: Sequence[str]) -> Floats:
    """Return the embeddings [N, D] of some of the texts that were embedded."""
    dimension = len(next(iter(vectors.values()), ()))
    return np.array([vectors[text] for text in texts], dtype=np.float32).reshape(-1, dimension)
