"""The students of a run: trained with and without the synthetic examples, alike in all else.

Every training is one object in the store when it is done, written by the worker
that did it, so a run that dies continues with those that are missing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray

from msp.config import RunConfig
from msp.distributed import placement
from msp.distributed.student_worker import (
    TASK_OPTIONS,
    StudentWork,
    embed_texts,
    finetune_loop,
    gather,
    train_and_commit_head,
)
from msp.distributed.worker_group import GroupSize, run_workers
from msp.errors import StorageError
from msp.progress import StageProgress
from msp.records import Example
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.store import ObjectStore
from msp.students.examples import TrainingSet, labelled_texts, training_set_of
from msp.students.kinds import make_learner
from msp.students.score import summarise
from msp.students.training import Evaluation, Training, finished_scores
from msp.tasks.base import TaskData
from msp.tasks.metrics import HEADLINE

_POLL_SECONDS = 1.0
_MAX_FAILURES = 3
_CURVE = tuple(range(10, 101, 10))


def train_students(
    config: RunConfig,
    task: TaskData,
    store: ObjectStore,
    synthetic: Callable[[], Iterable[Example]] | None,
    *,
    before_relabel: Callable[[], Iterable[Example]] | None = None,
) -> dict[str, Any]:
    """Return the arms' scores once every training is done, doing those that are missing.

    Args:
        config: the run's.
        task: seed, dev and test examples; the threshold is chosen on dev alone.
        store: of the run.
        synthetic: returns the synthetic examples, in the same order every time; None where
            nothing is generated, and the student of the seed examples is the only one.
        before_relabel: likewise, with the labels that were asked for at first; None where they
            are the same.

    Returns:
        ``seed_only`` and, where there are any, ``augmented`` and ``before_relabel``, each as
        :func:`msp.students.score.summarise` returns it with ``num_seed_examples`` and
        ``num_synthetic``; ``seeds`` of the trainings; the names of the ``headline`` metrics;
        ``wall_seconds`` over all starts.

    Raises:
        CheckpointError: the student's encoder is not there.
        TaskDataError: an example carries a label that the ontology does not know.
    """
    sets = {
        arm: training_set_of(
            task,
            examples,
            config=config.student,
            seed=config.seed,
            with_real=_learns_from_real(config, arm),
        )
        for arm, examples in _examples_by_arm(synthetic, before_relabel).items()
    }
    parts = _parts(config, sets)
    evaluation = _evaluation(config, task)
    trainings = _plan(config, parts)
    missing = [t for t in trainings if finished_scores(store, t) is None]
    before_seconds = _wall_seconds(store) if len(missing) < len(trainings) else 0.0
    if missing:
        placement.connect(config.cluster)
        train = _train_heads if config.student.kind == "head" else _finetune
        with placement.ours_out_of_rays(), _progress(store, trainings, before_seconds) as state:
            nodes = config.cluster.student_labels
            seconds = train(
                StudentWork(config.student, store, tuple(missing), parts, evaluation, nodes)
            )
            state["seconds_per_training"] = seconds
    nums = {arm: len(task.seeds) * _learns_from_real(config, arm) for arm in sets}
    scores = _scores(store, trainings, sets, nums)
    headline = list(HEADLINE[task.kind])
    return {**scores, "headline": headline, "wall_seconds": _wall_seconds(store)}


def _examples_by_arm(
    synthetic: Callable[[], Iterable[Example]] | None,
    before_relabel: Callable[[], Iterable[Example]] | None,
) -> dict[layout.Arm, Iterable[Example]]:
    arms: dict[layout.Arm, Iterable[Example]] = {"seed_only": ()}
    if synthetic is not None:
        arms["augmented"] = synthetic()
    if before_relabel is not None:
        arms["before_relabel"] = before_relabel()
    return arms


def _parts(
    config: RunConfig, sets: Mapping[layout.Arm, TrainingSet]
) -> dict[tuple[layout.Arm, int], TrainingSet]:
    """Return arm and percent -> what is learned from: all of it, and its parts for a curve."""
    percents = _CURVE if config.student.curve else (100,)
    return {
        (arm, percent): found if percent == 100 else found.first(percent, config.seed)
        for arm, found in sets.items()
        for percent in percents
    }


def _evaluation(config: RunConfig, task: TaskData) -> Evaluation:
    labels = [attribute.name for attribute in task.ontology.attributes]
    dev, test, *others = (
        labelled_texts(split, labels, task.kind)
        for split in (task.dev, task.test, *task.also_test.values())
    )
    further = dict(zip(task.also_test, others, strict=True))
    return Evaluation(dev, test, make_learner(task, config.task.metrics), further)


def _learns_from_real(config: RunConfig, arm: layout.Arm) -> bool:
    return arm == "seed_only" or config.student.learns_from == "both"


def _plan(config: RunConfig, parts: Mapping[tuple[layout.Arm, int], TrainingSet]) -> list[Training]:
    hashes = {part: found.content_hash for part, found in parts.items()}
    return [
        Training(arm, config.seed + k, hashes[arm, percent], k == 0 and percent == 100, percent)
        for k in range(config.student.num_seeds)
        for arm, percent in parts
    ]


def _train_heads(work: StudentWork) -> float:
    """Return the mean seconds of one training."""
    evaluation = work.evaluation
    inputs_of = evaluation.learner.inputs
    splits = [*work.training_sets.values(), *evaluation.splits]
    texts = [text for split in splits for text in inputs_of(split)]
    features = embed_texts(work.config, evaluation.learner, texts)
    learned_from = {
        part: ray.put((found, gather(features, inputs_of(found))))
        for part, found in work.training_sets.items()
    }
    seen = [gather(features, inputs_of(split)) for split in evaluation.splits]
    scored_on = ray.put((evaluation, seen))
    train = ray.remote(train_and_commit_head).options(**TASK_OPTIONS)
    seconds: list[float] = ray.get(
        [
            train.remote(
                work.config,
                work.store,
                training,
                learned_from[training.arm, training.percent],
                scored_on,
            )
            for training in work.trainings
        ]
    )
    return sum(seconds) / len(seconds)


def _finetune(work: StudentWork) -> float:
    """Return the mean seconds of one training, with its share of the workers' start."""
    config, started = work.config, time.monotonic()
    size = GroupSize(
        config.num_workers, 1.0, config.gpus_per_worker, _MAX_FAILURES, labels=work.labels
    )
    run_workers(finetune_loop, {"work": work}, name="train", size=size)
    return (time.monotonic() - started) / len(work.trainings)


def _scores(
    store: ObjectStore,
    trainings: Sequence[Training],
    sets: Mapping[layout.Arm, TrainingSet],
    num_seed_examples: Mapping[layout.Arm, int],
) -> dict[str, Any]:
    arms: dict[str, Any] = {}
    for arm in sets:
        of_arm = [training for training in trainings if training.arm == arm]
        arms[arm] = {
            **_summary(store, [training for training in of_arm if training.percent == 100]),
            **_curve(store, of_arm),
            "num_seed_examples": num_seed_examples[arm],
            "num_synthetic": sets[arm].num_synthetic,
        }
    return {**arms, "seeds": sorted({t.seed for t in trainings})}


def _curve(store: ObjectStore, trainings: Sequence[Training]) -> dict[str, Any]:
    """Return percent -> the figures of an arm's trainings on that part, where parts were asked."""
    percents = sorted({training.percent for training in trainings})
    if percents == [100]:
        return {}
    found = {
        str(percent): _summary(store, [t for t in trainings if t.percent == percent])
        for percent in percents
    }
    for figures in found.values():
        figures.pop("per_attribute")
    return {"curve": found}


def _summary(store: ObjectStore, trainings: Sequence[Training]) -> dict[str, Any]:
    found = [finished_scores(store, training) for training in trainings]
    return summarise([scores for scores in found if scores is not None])


@contextmanager
def _progress(
    store: ObjectStore, trainings: Sequence[Training], before_seconds: float
) -> Iterator[dict[str, float]]:
    """Show, and note for ``msp status``, how many trainings the store holds, and what is added."""
    added: dict[str, float] = {}
    ended, started = threading.Event(), time.monotonic()

    def num_done() -> int:
        return sum(finished_scores(store, training) is not None for training in trainings)

    def note(progress: StageProgress) -> None:
        done = num_done()
        progress.update(done)
        state = {
            "done_students": done,
            "planned_students": len(trainings),
            "wall_seconds": before_seconds + time.monotonic() - started,
            **added,
        }
        store.write(layout.progress_key("train"), json.dumps(state, sort_keys=True).encode())

    def watch(progress: StageProgress) -> None:
        while not ended.wait(_POLL_SECONDS):
            # A store that is out of reach for a moment ends a look at progress, not the training.
            with suppress(StorageError):
                note(progress)

    with StageProgress("train", "students", len(trainings), done=num_done()) as progress:
        thread = threading.Thread(target=watch, args=(progress,), daemon=True)
        thread.start()
        try:
            yield added
        finally:
            ended.set()
            thread.join()
        note(progress)


def _wall_seconds(store: ObjectStore) -> float:
    """Return how long earlier starts have trained."""
    key = layout.progress_key("train")
    return float(read_json(store, key)["wall_seconds"]) if store.exists(key) else 0.0
