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
from msp.students.arms import (
    PERCENTS,
    SetName,
    learns_from_real,
    of_percent,
    of_size,
    training_sets,
)
from msp.students.examples import TrainingSet, labelled_texts
from msp.students.kinds import HeadLearner, make_learner
from msp.students.score import summarise
from msp.students.training import Evaluation, Training, finished_scores
from msp.tasks.base import WRITTEN, TaskData
from msp.tasks.metrics import HEADLINE

_POLL_SECONDS = 1.0
_MAX_FAILURES = 3


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
        ``seed_only`` and, where there are any, ``label_texts``, ``synthetic``, ``augmented`` and
        ``before_relabel``, each as
        :func:`msp.students.score.summarise` returns it with ``num_seed_examples`` and
        ``num_synthetic``; ``seeds`` of the trainings; the names of the ``headline`` metrics;
        ``wall_seconds`` over all starts; and, of ``student.sizes``, ``sizes``: for each that the
        run reaches ``num_synthetic`` and the headline metrics of the student of so many.

    Raises:
        CheckpointError: the student's encoder is not there.
        TaskDataError: an example carries a label that the ontology does not know.
    """
    sets = training_sets(config, task, synthetic, before_relabel)
    evaluation = _evaluation(config, task)
    trainings = _plan(config, sets)
    missing = [t for t in trainings if finished_scores(store, t) is None]
    before_seconds = _wall_seconds(store) if len(missing) < len(trainings) else 0.0
    if missing:
        placement.connect(config.cluster)
        train = _train_heads if config.student.kind == "head" else _finetune
        with placement.ours_out_of_rays(), _progress(store, trainings, before_seconds) as state:
            nodes = config.cluster.student_labels
            seconds = train(
                StudentWork(config.student, store, tuple(missing), sets, evaluation, nodes)
            )
            state["seconds_per_training"] = seconds
    nums = {name.arm: len(task.seeds) * learns_from_real(config, name.arm) for name in sets}
    scores = _scores(store, trainings, sets, nums)
    headline = list(HEADLINE[task.kind])
    sizes = [size for size in sorted({*config.student.sizes}) if of_size(size) in sets]
    if sizes:
        scores["sizes"] = [_of_size(store, trainings, size, headline) for size in sizes]
    return {**scores, "headline": headline, "wall_seconds": _wall_seconds(store)}


def _evaluation(config: RunConfig, task: TaskData) -> Evaluation:
    labels = [attribute.name for attribute in task.ontology.attributes]
    # Of written answers nothing is chosen on dev, and writing them takes long.
    chosen_on = () if task.kind in WRITTEN else task.dev
    dev, test, *others = (
        labelled_texts(split, labels, task.kind)
        for split in (chosen_on, task.test, *task.also_test.values())
    )
    further = dict(zip(task.also_test, others, strict=True))
    return Evaluation(dev, test, make_learner(task, config.task.metrics), further)


def _plan(config: RunConfig, sets: Mapping[SetName, TrainingSet]) -> list[Training]:
    hashes = {name: found.content_hash for name, found in sets.items()}
    return [
        Training(name.arm, config.seed + k, hashes[name], k == 0 and not name.part, name.part)
        for k in range(config.student.num_seeds)
        for name in sets
    ]


def _train_heads(work: StudentWork) -> float:
    """Return the mean seconds of one training."""
    evaluation, learner = work.evaluation, work.evaluation.learner
    assert isinstance(learner, HeadLearner)
    inputs_of = learner.inputs
    splits = [*work.training_sets.values(), *evaluation.splits]
    texts = [text for split in splits for text in inputs_of(split)]
    features = embed_texts(work.config, learner, texts)
    learned_from = {
        name: ray.put((found, gather(features, inputs_of(found))))
        for name, found in work.training_sets.items()
    }
    seen = [gather(features, inputs_of(split)) for split in evaluation.splits]
    scored_on = ray.put((evaluation, seen))
    train = ray.remote(train_and_commit_head).options(**TASK_OPTIONS)
    seconds: list[float] = ray.get(
        [
            train.remote(
                work.config, work.store, training, learned_from[training.learns], scored_on
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
    sets: Mapping[SetName, TrainingSet],
    num_seed_examples: Mapping[layout.Arm, int],
) -> dict[str, Any]:
    arms: dict[str, Any] = {}
    for name in (name for name in sets if not name.part):
        arms[name.arm] = {
            **_summary(store, trainings, name),
            **_curve(store, trainings, name, sets),
            "num_seed_examples": num_seed_examples[name.arm],
            "num_synthetic": sets[name].num_synthetic,
        }
    return {**arms, "seeds": sorted({t.seed for t in trainings})}


def _curve(
    store: ObjectStore,
    trainings: Sequence[Training],
    whole: SetName,
    sets: Mapping[SetName, TrainingSet],
) -> dict[str, Any]:
    """Return percent -> the figures of an arm's trainings on that part, where parts were asked."""
    parts = {percent: of_percent(whole.arm, percent) for percent in PERCENTS}
    parts = {percent: name for percent, name in parts.items() if name in sets}
    if not parts:
        return {}
    found = {str(p): _summary(store, trainings, name) for p, name in {**parts, 100: whole}.items()}
    for figures in found.values():
        figures.pop("per_attribute")
    return {"curve": found}


def _of_size(
    store: ObjectStore, trainings: Sequence[Training], size: int, headline: Sequence[str]
) -> dict[str, Any]:
    """Return the headline figures of the students of so many synthetic examples."""
    figures = _summary(store, trainings, of_size(size))
    return {"num_synthetic": size, **{name: figures[name] for name in headline}}


def _summary(store: ObjectStore, trainings: Sequence[Training], name: SetName) -> dict[str, Any]:
    found = [finished_scores(store, training) for training in trainings if training.learns == name]
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
