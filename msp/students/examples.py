"""What a student learns from: texts, their labels, and how often each is drawn.

A weight is a chance to be drawn, not a factor in the loss: with the same number
of steps and the same batch size, no part of a step is spent on an example that
then counts half. Both arms draw by the same random stream.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from msp.config import StudentConfig
from msp.errors import TaskDataError, did_you_mean
from msp.records import Example
from msp.tasks.answers import question_of
from msp.tasks.base import KINDS_WITH_TARGET, WRITTEN, Kind, TaskData

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Item = TypeVar("Item")


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels.

    Args:
        texts: N of them; questions, where answers are written out.
        gold: [N, A], true where text n carries label a.
        targets: where labels stand in each text, in brackets; what a question's options are; or
            each question's answer, where answers are written out; else empty.
        is_single: whether each text has exactly one label.
    """

    texts: tuple[str, ...]
    gold: Bools
    targets: tuple[str, ...] = ()
    is_single: bool = False


@dataclass(frozen=True)
class TrainingSet(LabelledTexts):
    """What one arm learns from.

    Args:
        weights: [N], how often each is drawn relative to a seed example, which has 1.
        num_synthetic: how many synthetic examples stand behind it, whether held or not.
    """

    weights: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    num_synthetic: int = 0

    def first(self, percent: int, seed: int) -> TrainingSet:
        """Return a part of it, drawn by seed; a smaller one is within every larger one."""
        size = -(-len(self.texts) * percent // 100)
        line = np.random.default_rng(seed).permutation(len(self.texts))
        rows = np.sort(line[:size]).tolist()
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            gold=self.gold[rows],
            targets=tuple(self.targets[row] for row in rows) if self.targets else (),
            weights=self.weights[rows],
            num_synthetic=round(self.num_synthetic * percent / 100),
        )

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of texts, labels and weights."""
        digest = hashlib.sha256(json.dumps([self.texts, self.targets]).encode())
        for array in (self.gold, self.weights):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def labelled_texts(
    examples: Sequence[Example], labels: Sequence[str], kind: Kind = "multilabel"
) -> LabelledTexts:
    """Return the examples as a student of a kind of task reads them.

    Raises:
        TaskDataError: an example carries a label that is not among ``labels``.
    """
    columns = {label: column for column, label in enumerate(labels)}
    gold = np.zeros((len(examples), len(labels)), dtype=np.bool_)
    for row, example in enumerate(examples):
        for name in example.attributes:
            if name not in columns:
                near = did_you_mean(name, labels)
                raise TaskDataError(
                    f"example {example.uid}: {name!r} is not among the {len(labels)} labels "
                    f"that the student learns{near or '.'}"
                )
            gold[row, columns[name]] = True
    has_targets = kind in KINDS_WITH_TARGET
    texts = (example.text for example in examples)
    return LabelledTexts(
        texts=tuple(map(question_of, texts)) if kind in WRITTEN else tuple(texts),
        gold=gold,
        targets=tuple(example.target or "" for example in examples) if has_targets else (),
        is_single=kind == "single_label",
    )


def training_set(
    seeds: Sequence[Example],
    synthetic: Iterable[Example],
    *,
    labels: Sequence[str],
    config: StudentConfig,
    seed: int,
    label_texts: Sequence[Example] = (),
) -> TrainingSet:
    """Return what an arm of a multi-label task learns from; see :func:`training_set_of`."""
    real = (seeds, (), label_texts)
    return _training_set(real, synthetic, (labels, "multilabel"), config, seed)


def training_set_of(
    task: TaskData,
    synthetic: Iterable[Example],
    *,
    config: StudentConfig,
    seed: int,
    label_texts: Sequence[Example] = (),
    with_real: bool = True,
) -> TrainingSet:
    """Return what an arm learns from, bounded however many synthetic examples there are.

    A training draws ``num_steps * batch_size`` times, so no more synthetic
    examples than that are held: a uniform sample. All synthetic examples together
    weigh ``synthetic_weight`` times what all seed examples weigh, so a thousand
    and a million of them can be compared; examples of other domains weigh
    ``source_weight`` times as much in every arm, and the labels' own texts
    ``label_text_weight`` times in those that have them.

    Args:
        task: its seed examples, those of other domains, and its labels in the ontology's order.
        synthetic: read once; none for the seed-only arm. Their order must not change between runs.
        config: the student section.
        seed: of the sample.
        label_texts: from :func:`msp.students.label_texts.label_texts`; none for the seed-only arm.
        with_real: whether seed examples are among it.
    """
    labels = [attribute.name for attribute in task.ontology.attributes]
    real = (task.seeds, task.source) if with_real else ((), ())
    return _training_set((*real, label_texts), synthetic, (labels, task.kind), config, seed)


def _training_set(
    real: tuple[Sequence[Example], Sequence[Example], Sequence[Example]],
    synthetic: Iterable[Example],
    labelled: tuple[Sequence[str], Kind],
    config: StudentConfig,
    seed: int,
) -> TrainingSet:
    seeds, source, label_texts = real
    room = config.num_steps * config.batch_size
    held, num_synthetic = draw_sample(synthetic, room, seed)
    found = labelled_texts([*seeds, *source, *label_texts, *held], *labelled)
    total = max(len(seeds), 1)
    weights = [
        np.full(len(part), factor * total / max(len(part), 1))
        for part, factor in (
            (source, config.source_weight),
            (label_texts, config.label_text_weight),
            (held, config.synthetic_weight),
        )
    ]
    return TrainingSet(
        texts=found.texts,
        gold=found.gold,
        targets=found.targets,
        is_single=found.is_single,
        weights=np.concatenate([np.ones(len(seeds)), *weights]),
        num_synthetic=num_synthetic,
    )


def draw_batches(training: TrainingSet, config: StudentConfig, seed: int) -> npt.NDArray[np.int64]:
    """Return [num_steps, batch_size] rows of the training set, drawn by weight with replacement.

    Raises:
        TaskDataError: there is nothing to draw from.
    """
    if not len(training.weights):
        raise TaskDataError("the student has no example to learn from; give it seed examples.")
    shares = training.weights / training.weights.sum()
    size = (config.num_steps, config.batch_size)
    rows: npt.NDArray[np.int64] = np.random.default_rng(seed).choice(len(shares), size, p=shares)
    return rows


def nested_subsets(
    examples: Iterable[Example], sizes: Sequence[int], *, seed: int
) -> dict[int, list[Example]]:
    """Return size -> so many of the examples, each set within the next, as uniform draws.

    An example's place in the line that they are cut from follows from the seed and its uid,
    so the sets do not depend on the order of the examples. Holds the largest set at most.

    Args:
        examples: read once; all of them where there are fewer than a size.
        sizes: at least one.
        seed: of the line.
    """

    def place(example: Example) -> str:
        return hashlib.sha256(f"size\x1f{seed}\x1f{example.uid}".encode()).hexdigest()

    line = heapq.nsmallest(max(sizes), examples, key=place)
    return {size: line[:size] for size in sorted(sizes)}


def draw_sample(examples: Iterable[Item], room: int, seed: int) -> tuple[list[Item], int]:
    """Return a uniform sample of at most ``room`` (Vitter's algorithm R), and how many there were.

    Up to ``room`` examples come back as they are, all of them and in order.
    """
    rng = np.random.default_rng(seed)
    held: list[Item] = []
    num_seen = 0
    for example in examples:
        num_seen += 1
        if len(held) < room:
            held.append(example)
        elif (place := int(rng.integers(num_seen))) < room:
            held[place] = example
    return held, num_seen
