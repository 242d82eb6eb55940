"""Which class a candidate has in the end: the frozen LM is asked again (PromptMix, section 3.2).

A text that was asked to lie between two classes may well have crossed over. The
nearest classes by sentence embedding are the shortlist, and the LM chooses
among exactly these: it scores each one's name, it does not write. Seed examples
are never asked about; people gave their labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from msp.config import RunConfig
from msp.engines.base import Chooser, Question
from msp.errors import ConfigError
from msp.tasks.base import TaskData

if TYPE_CHECKING:
    from msp.denoise.scorer import FloatArray, TextEncoder

# The LM says another class than the one that the text was asked for.
DISAGREED = "disagreed"


class Shortlist:
    """The classes' places in the encoder's space: the mean of a class's seed examples and its name.

    Args:
        task: seed examples and ontology; a class without seed examples has its name alone.
        encoder: of the texts, too.
        size: of a shortlist.
    """

    def __init__(self, task: TaskData, encoder: TextEncoder, size: int) -> None:
        classes = task.ontology.attributes
        self.size = min(size, len(classes))
        places = {attribute.name: place for place, attribute in enumerate(classes)}
        seeds = [seed for seed in task.seeds if seed.attributes]
        named = [*(seed.text for seed in seeds), *(attribute.words for attribute in classes)]
        of = [*(places[seed.attributes[0]] for seed in seeds), *range(len(classes))]
        vectors = encoder.encode(named)
        sums = np.zeros((len(classes), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, of, vectors)
        self._centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        self._typical = self._by_nearness([seed.text for seed in seeds], of, vectors)

    def typical(self, place: int, number: int) -> tuple[str, ...]:
        """Return a class's seed examples that are nearest to its centre, the nearest first."""
        return self._typical[place][:number]

    def _by_nearness(
        self, texts: Sequence[str], of: Sequence[int], vectors: FloatArray
    ) -> list[tuple[str, ...]]:
        found: list[list[tuple[float, str]]] = [[] for _ in self._centres]
        for text, place, vector in zip(texts, of, vectors, strict=False):
            found[place].append((-round(float(vector @ self._centres[place]), 6), text))
        return [tuple(text for _, text in sorted(rows)) for rows in found]

    def nearest(self, vectors: FloatArray) -> npt.NDArray[np.int64]:
        """Return [N, S] places of classes in the ontology, the nearest first, for vectors [N, D].

        Of equally near ones the ontology's first comes first.
        """
        order = np.argsort(-(vectors @ self._centres.T), axis=1, kind="stable")
        return order[:, : self.size]


class Relabeller:
    """Says which class a text has: a classifier by shortlist and frozen LM.

    Args:
        task: its classes and seed examples.
        encoder: sentence encoder.
        chooser: the frozen LM, or what stands in for it.
        size: classes in a shortlist.
        exemplars: seed examples of each of these that are shown.
    """

    def __init__(
        self,
        task: TaskData,
        encoder: TextEncoder,
        chooser: Chooser,
        *,
        size: int,
        exemplars: int = 0,
    ) -> None:
        self._exemplars = exemplars
        self._classes = task.ontology.attributes
        self._encoder = encoder
        self._chooser = chooser
        self._shortlist = Shortlist(task, encoder, size)

    def labels(self, texts: Sequence[str], vectors: FloatArray | None = None) -> list[str]:
        """Return the class of each text.

        Args:
            texts: N of them.
            vectors: [N, D] of the same encoder, where they are there already.
        """
        places = self.shortlists(texts, vectors)
        questions = [
            Question(text, tuple(self._classes[place].words for place in row), self._shown(row))
            for text, row in zip(texts, places, strict=True)
        ]
        chosen = self._chooser.choose(questions)
        return [self._classes[row[k]].name for row, k in zip(places, chosen, strict=True)]

    def _shown(self, row: Sequence[int]) -> tuple[tuple[str, str], ...]:
        return tuple(
            (text, self._classes[place].words)
            for place in reversed(row)
            for text in self._shortlist.typical(place, self._exemplars)
        )

    def shortlists(
        self, texts: Sequence[str], vectors: FloatArray | None = None
    ) -> list[list[int]]:
        """Return the places in the ontology of each text's nearest classes, the nearest first."""
        if not texts:
            return []
        if vectors is None:
            vectors = self._encoder.encode(texts)
        rows: list[list[int]] = self._shortlist.nearest(vectors).tolist()
        return rows


@dataclass(frozen=True)
class Relabelling:
    """A relabeller and what comes of its answers.

    Args:
        relabeller: gives every text that may be kept a class.
        policy: replace, drop_disagreeing or keep.
    """

    relabeller: Relabeller
    policy: str

    def disagreeing(self, asked: str, given: dict[int, str]) -> set[int]:
        """Return the candidates that this policy drops since the LM says another class."""
        if self.policy != "drop_disagreeing":
            return set()
        return {k for k, label in given.items() if label != asked}

    def replaces(self, asked: str, label: str | None) -> bool:
        """Say whether the LM's class takes the place of the one asked for."""
        return self.policy == "replace" and label not in (None, asked)


def check_relabel(config: RunConfig, task: TaskData) -> None:
    """Pass where the run asks the frozen LM for a text's one class only if texts have one.

    Raises:
        ConfigError: a text of the task has not exactly one label.
    """
    asked = {
        f"denoise.relabel is {config.relabel}": config.relabel != "none",
        "metrics.teacher is true": config.metrics.teacher,
    }
    for setting, is_set in asked.items():
        if is_set and task.kind != "single_label":
            raise ConfigError(
                f"{setting}, which gives a text one class, but {config.task.name} is no task with "
                f"one class a text ({task.kind}); leave it out, or for a jsonl task whose texts "
                "have one label each set task.predict to label."
            )
