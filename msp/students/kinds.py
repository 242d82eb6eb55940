"""One student for each kind of task: what it reads, how it learns, and what it is judged by.

The rest of training (arms, seeds, workers, what is committed when) is the same for
all of them and knows only the :class:`Learner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from msp.config import StudentConfig
from msp.models.encoder import SentenceEncoder
from msp.students.answering import Answerer
from msp.students.choice import Chooser
from msp.students.examples import Floats, LabelledTexts, TrainingSet
from msp.students.finetune import (
    ALONE,
    Body,
    EncoderBased,
    FinetunedStudent,
    Workers,
    finetuned_probabilities,
    train_finetuned,
)
from msp.students.head import HeadStudent, head_probabilities, train_head
from msp.students.saved import Description, StudentModule
from msp.students.score import score_single, score_spans, score_training
from msp.students.tag_scheme import TagScheme, make_scheme
from msp.students.tagger import (
    TaggingStudent,
    finetune_tagger,
    predict_forests,
    predict_forests_finetuned,
    train_tagger,
)
from msp.students.words import NUM_SHAPES, embed_words
from msp.tasks.base import WRITTEN, Kind, TaskData
from msp.tasks.brackets import read_brackets, words_in
from msp.tasks.metrics import HEADLINE

# Of each text one array: its vector, or its words' vectors.
Features = Sequence[Any]


class Learner(Protocol):
    """A kind of student. Pickled to the workers that train it."""

    def load(self, config: StudentConfig, *, device: str) -> Body:
        """Return what is fine-tuned, as it is before.

        Raises:
            CheckpointError: it is not there.
        """
        ...

    def finetune(
        self,
        config: StudentConfig,
        training: TrainingSet,
        body: Any,
        *,
        seed: int,
        workers: Workers = ALONE,
    ) -> StudentModule:
        """Return a student whose body (``Body.model``) has learned, in evaluation mode."""
        ...

    def answers(self, module: Any, split: LabelledTexts, seen: Any) -> Any:
        """Return what a student says of a split, for :meth:`score`.

        ``seen`` is the body of a fine-tuned student, or the split's features.
        """
        ...

    def score(
        self, dev: tuple[Any, LabelledTexts], test: tuple[Any, LabelledTexts]
    ) -> dict[str, Any]:
        """Return ``metrics``, ``per_attribute`` and what was chosen on dev."""
        ...

    def describe(
        self, kind: str, body: tuple[str, int], module: Any, scores: dict[str, Any]
    ) -> Description:
        """Return what a saved student needs beside its weights; the body is its name and size."""
        ...


@runtime_checkable
class HeadLearner(Learner, Protocol):
    """A kind of student that can also be a head on the features of a frozen encoder."""

    def inputs(self, split: LabelledTexts) -> list[str]:
        """Return what is embedded of each text; the same string has the same features."""
        ...

    def embed(self, encoder: SentenceEncoder, inputs: Sequence[str]) -> Features:
        """Return the features of inputs under a frozen encoder."""
        ...

    def dimension(self, features: Features) -> int:
        """Return the encoder's hidden size, of one or more texts' features."""
        ...

    def train_head(
        self, config: StudentConfig, training: TrainingSet, features: Features, *, seed: int
    ) -> StudentModule:
        """Return a student on frozen features, in evaluation mode."""
        ...


@dataclass(frozen=True)
class Classifier(EncoderBased):
    """The student of tasks with labels alone.

    Args:
        labels: A of them, in the ontology's order.
        is_single: whether exactly one is right.
        is_paper_compatible: whether the paper's figures are wanted, too.
    """

    labels: tuple[str, ...]
    is_single: bool = False
    is_paper_compatible: bool = False

    def inputs(self, split: LabelledTexts) -> list[str]:
        """See :class:`Learner`."""
        return list(split.texts)

    def embed(self, encoder: SentenceEncoder, inputs: Sequence[str]) -> Features:
        """See :class:`Learner`."""
        return list(encoder.encode(inputs))

    def dimension(self, features: Features) -> int:
        """See :class:`Learner`."""
        return len(features[0])

    def train_head(
        self, config: StudentConfig, training: TrainingSet, features: Features, *, seed: int
    ) -> HeadStudent:
        """See :class:`Learner`."""
        return train_head(config, training, _matrix(features), seed=seed)

    def finetune(
        self,
        config: StudentConfig,
        training: TrainingSet,
        body: SentenceEncoder,
        *,
        seed: int,
        workers: Workers = ALONE,
    ) -> FinetunedStudent:
        """See :class:`Learner`."""
        return train_finetuned(config, training, body, seed=seed, workers=workers)

    def answers(self, module: Any, split: LabelledTexts, seen: Any) -> Floats:
        """Return probabilities [N, A]."""
        if isinstance(module, HeadStudent):
            if not split.texts:
                return np.zeros((0, len(self.labels)), dtype=np.float32)
            return head_probabilities(module, _matrix(seen), is_single=self.is_single)
        assert isinstance(module, FinetunedStudent)
        return finetuned_probabilities(module, seen, split.texts, is_single=self.is_single)

    def score(
        self, dev: tuple[Any, LabelledTexts], test: tuple[Any, LabelledTexts]
    ) -> dict[str, Any]:
        """See :class:`Learner`; several labels need a threshold, one is the most probable."""
        paper = self.is_paper_compatible
        if self.is_single:
            return score_single(test, self.labels, paper=paper)
        return score_training(dev, test, self.labels, paper=paper)

    def describe(
        self, kind: str, body: tuple[str, int], module: Any, scores: dict[str, Any]
    ) -> Description:
        """See :class:`Learner`."""
        threshold = scores.get("threshold", 0.0)
        return Description(kind, *body, self.labels, threshold, is_single=self.is_single)


@dataclass(frozen=True)
class Tagger(EncoderBased):
    """The student of tasks that tag or parse.

    Args:
        scheme: what it can say.
        labels: what is scored; the scheme may know labels of other domains, too.
        kind: tagging or parse.
        is_paper_compatible: whether the paper's figures are wanted, too.
    """

    scheme: TagScheme
    labels: tuple[str, ...]
    kind: Kind
    is_paper_compatible: bool = False

    def inputs(self, split: LabelledTexts) -> list[str]:
        """Return each text's words with single spaces between."""
        return [" ".join(words_in(read_brackets(target))) for target in split.targets]

    def embed(self, encoder: SentenceEncoder, inputs: Sequence[str]) -> Features:
        """See :class:`Learner`."""
        return embed_words(encoder, [text.split() for text in inputs])

    def dimension(self, features: Features) -> int:
        """See :class:`Learner`; a word has two layers and its shape."""
        return int(features[0].shape[1] - NUM_SHAPES) // 2

    def train_head(
        self, config: StudentConfig, training: TrainingSet, features: Features, *, seed: int
    ) -> TaggingStudent:
        """See :class:`Learner`."""
        return train_tagger(config, training, self.scheme, features, seed=seed)

    def finetune(
        self,
        config: StudentConfig,
        training: TrainingSet,
        body: SentenceEncoder,
        *,
        seed: int,
        workers: Workers = ALONE,
    ) -> TaggingStudent:
        """See :class:`Learner`."""
        return finetune_tagger(config, training, self.scheme, body, seed=seed, workers=workers)

    def answers(self, module: Any, split: LabelledTexts, seen: Any) -> list[Any]:
        """Return each text's forest."""
        assert isinstance(module, TaggingStudent)
        sentences = [text.split() for text in self.inputs(split)]
        if module.body is None:
            return list(predict_forests(module, sentences, seen))
        return list(predict_forests_finetuned(module, sentences, seen))

    def score(
        self, dev: tuple[Any, LabelledTexts], test: tuple[Any, LabelledTexts]
    ) -> dict[str, Any]:
        """See :class:`Learner`; nothing is chosen on dev."""
        return score_spans(test, self.kind, self.labels, paper=self.is_paper_compatible)

    def describe(
        self, kind: str, body: tuple[str, int], module: Any, scores: dict[str, Any]
    ) -> Description:
        """See :class:`Learner`."""
        scheme = self.scheme
        return Description(kind, *body, self.labels, 0.0, roots=scheme.roots, levels=scheme.levels)


def make_learner(task: TaskData, metrics: Sequence[str]) -> Learner:
    """Return the student for a task.

    Args:
        task: its kind, labels and real examples; both arms have the same learner.
        metrics: of ``task.metrics``.
    """
    paper = "paper_compatible" in metrics
    if task.kind in WRITTEN:
        return Answerer(task.kind, HEADLINE[task.kind][0])
    if task.kind == "choice":
        return Chooser(tuple(attribute.name for attribute in task.ontology.attributes))
    if task.kind not in ("tagging", "parse"):
        labels = tuple(attribute.name for attribute in task.ontology.attributes)
        return Classifier(labels, task.kind == "single_label", paper)
    return make_tagger(task, metrics)


def make_tagger(task: TaskData, metrics: Sequence[str] = ("standard",)) -> Tagger:
    """Return the student for a task that tags or parses; see :func:`make_learner`."""
    real = [read_brackets(example.target or "") for example in task.labelled]
    scheme = make_scheme(real, has_root=task.kind == "parse")
    labels = task.tags or tuple(attribute.name for attribute in task.ontology.attributes)
    return Tagger(scheme, labels, task.kind, "paper_compatible" in metrics)


def _matrix(features: Features) -> Floats:
    return np.asarray(features, dtype=np.float32)
