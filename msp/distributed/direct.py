"""Direct prediction: an LM learns to answer the task, as often as students are trained.

It takes the augmented student's place beside the one that learned from the seed
examples alone, with the same test examples, figures and number of trainings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from msp.config import RunConfig
from msp.distributed.fit import run_in_worker
from msp.distributed.tune import progress_followed
from msp.methods.fit_store import fit_is_saved
from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.students.examples import labelled_texts
from msp.students.kinds import make_learner
from msp.students.score import summarise
from msp.students.training import Training, finished_scores
from msp.tasks.base import TaskData


def train_direct(
    config: RunConfig,
    task: TaskData,
    store: ObjectStore,
    *,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Return the scores of the LM's own answers once every training is done.

    Trainings that are missing are done one after the other, each from its last
    finished epoch on. What the first of them learns is kept, with its curve.

    Args:
        config: the run's.
        task: seed examples to learn from, dev examples to choose the epoch by, and test.
        store: the run's; everything that a resume needs is in it.
        on_progress: called with each new content of ``state/progress/tune.json``.

    Returns:
        as :func:`msp.students.score.summarise`, with ``num_seed_examples``.
    """
    trainings = [
        Training("direct", config.seed + k, task.content_hash, is_saved=k == 0)
        for k in range(config.student.num_seeds)
    ]
    if not store.exists(layout.progress_key("train")):
        _say_that_it_trains(store, len(trainings))
    for training in trainings:
        # What is kept of the first one may have been damaged and set aside since.
        is_whole = fit_is_saved(store) or not training.is_saved
        if finished_scores(store, training) is None or not is_whole:
            with progress_followed(store, on_progress):
                run_in_worker(_work, config, task, store, training)
    found = [finished_scores(store, training) for training in trainings]
    scores = summarise([scores for scores in found if scores is not None])
    return {**scores, "num_seed_examples": len(task.seeds)}


def _say_that_it_trains(store: ObjectStore, num_trainings: int) -> None:
    """Let ``msp status`` know that nothing is generated before."""
    state = {"done_students": 0, "planned_students": num_trainings, "wall_seconds": 0.0}
    store.write(layout.progress_key("train"), json.dumps(state).encode())


def _work(config: RunConfig, task: TaskData, store: ObjectStore, training: Training) -> None:
    """Learn, answer the test examples and commit their scores; runs in a worker."""
    import torch

    from msp.distributed.fit_worker import Fitter
    from msp.distributed.tune_state import drop_state
    from msp.methods import Opening
    from msp.methods.direct import open_predictor
    from msp.methods.fit_store import learned_tensors, save_fit

    torch.set_num_threads(config.tune.cpus_per_worker)
    seeded = config.model_copy(update={"seed": training.seed})
    predictor = open_predictor(Opening(seeded, task, store))
    tuning = Fitter(predictor.fit, config.tune, store, seed=training.seed).run()
    lines = predictor.lines(
        [example.text for example in task.test], [example.domain for example in task.test]
    )
    if training.is_saved:
        tensors = learned_tensors(predictor.fit.module)
        save_fit(store, tensors, config=config, files=predictor.lm.files, tuning=tuning)
    # First: the next training must not go on from this one's epochs.
    drop_state(store)
    scores = {**asdict(training), **_scores(config, task, lines)}
    store.write(training.key, json.dumps(scores, sort_keys=True).encode())


def _scores(config: RunConfig, task: TaskData, lines: list[str]) -> dict[str, Any]:
    from msp.students.written import read_answers

    labels = [attribute.name for attribute in task.ontology.attributes]
    test = labelled_texts(task.test, labels, task.kind)
    learner = make_learner(task, config.task.metrics)
    # Without dev examples nothing is chosen on them: what is said is said.
    nothing = replace(test, texts=(), gold=test.gold[:0], targets=())
    answers = read_answers(lines, test, learner)
    return {**learner.score((answers[:0], nothing), (answers, test)), "first_lines": lines[:20]}
