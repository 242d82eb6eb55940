"""Readers, ontology, linearised targets and metrics: what is being labelled."""

from __future__ import annotations

from collections.abc import Callable

from msp.config import TaskConfig
from msp.tasks import (
    actdial,
    banking77,
    crossner,
    jsonl,
    nlupp,
    questions,
    sentences,
    topv2,
    written,
)
from msp.tasks.base import TaskData

READERS: dict[str, Callable[..., TaskData]] = {
    "jsonl": jsonl.load,
    "nlupp": nlupp.load,
    "crossner": crossner.load,
    "topv2": topv2.load,
    "banking77": banking77.load,
    "actdial": actdial.load,
    "trec": sentences.load_trec,
    "subj": sentences.load_subj,
    "gsm8k": written.load_gsm8k,
    "mbpp": written.load_mbpp,
    **questions.READERS,
}


def load_task(config: TaskConfig, *, seed: int) -> TaskData:
    """Return the task that a config names, read and split.

    Args:
        config: the run's ``task`` section.
        seed: decides every draw: few-shot seed examples, dev, and a split that
            the data does not make.

    Raises:
        TaskDataError: a file is missing or malformed.
        ConfigError: the section asks for what the data does not have.
    """
    return READERS[config.name](config, seed=seed)
