"""The judge: every candidate of a unit gets its verdict, the cheap rules first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from msp.config import DenoiseConfig
from msp.denoise.agreement import NOT_AGREED, SPANS_NOT_AGREED, NovelRule, SpanRule
from msp.denoise.contamination import EvaluationTexts
from msp.denoise.keep import keep_reasons
from msp.denoise.noise import (
    attribute_frequencies,
    attribute_overlap,
    disagreement,
    noise_score,
)
from msp.denoise.relabel import DISAGREED, Relabelling
from msp.denoise.rules import lexical_reasons, normalise
from msp.denoise.unasked import LabelledWords
from msp.errors import TaskDataError
from msp.records import CANDIDATES_PER_UNIT_LIMIT, Candidate, Constraint, Example, Generated, Unit
from msp.tasks.linearise import linearise

FloatArray = npt.NDArray[np.float32]


class TextEncoder(Protocol):
    """What turns texts into vectors of length 1."""

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> FloatArray:
        """Return [N, D], one vector per text."""
        ...


class Labeller(Protocol):
    """What says which labels a text carries, having learned from the seed examples alone."""

    labels: tuple[str, ...]
    seed_vectors: FloatArray

    def probabilities(self, vectors: FloatArray) -> FloatArray:
        """Return [N, A] probabilities for texts' vectors [N, D]."""
        ...


# The asked values are there, but not where a target can name them: two in one place.
UNPLACED_VALUE = "unplaced_value"
# A question without an answer that could be right, where answers are written out.
UNANSWERED = "unanswered"

# A value that nobody asked for, which the target would call no value.
UNASKED_VALUE = "unasked_value"
# The frozen LM itself hardly believes what it wrote: word salad, most of the time.
UNLIKELY = "unlikely"

TargetOf = Callable[[Constraint, str], str | None]


def labels_as_target(constraint: Constraint, text: str) -> str:
    """Return the target of a task with labels alone, which no text changes."""
    return linearise(constraint)


def surprise(made: Generated) -> float:
    """Return how unlikely a text was to the LM that wrote it, in nats a token."""
    return -made.logprob / made.num_tokens if made.num_tokens else 0.0


class _Score(NamedTuple):
    noise: float
    similarity: float


class _Read(NamedTuple):
    """What was read of the candidates that have no reason yet.

    Args:
        passing: of each unit, candidate -> text.
        rows: text -> its row in ``vectors``.
        vectors: [N, D]; [N, 0] without an encoder.
    """

    passing: Sequence[Mapping[int, str]]
    rows: Mapping[str, int]
    vectors: FloatArray


class UnitScorer:
    """Judges units; holds the encoder and the seed examples' vectors.

    Args:
        config: weights, cut and quota.
        encoder: gives the similarity to a unit's seed example; None where neither
            ``distance_weight`` nor ``disagreement_weight`` asks for it: similarities are NaN.
        seeds: the seed examples that the units were planned from.
        labeller: asked for its agreement where ``disagreement_weight`` is not 0.
        evaluation: texts that no candidate may hold.
        rejected: texts that reviewers rejected.
        kept_before: texts that the runs before this one kept.
        target_of: what the student learns from a text, or None where it cannot be labelled.
        labelled_words: of the seed examples, where words are what is labelled.
        relabelling: gives what could be kept a class of the frozen LM's choice.
        untargeted: why a text goes that cannot be labelled.
        novel_rule: judges texts of new combinations.
        span_rule: judges where labels stand, where words are what is labelled.
    """

    def __init__(
        self,
        config: DenoiseConfig,
        encoder: TextEncoder | None,
        seeds: Sequence[Example],
        *,
        labeller: Labeller | None = None,
        evaluation: EvaluationTexts | None = None,
        rejected: Sequence[str] = (),
        kept_before: Sequence[str] = (),
        target_of: TargetOf = labels_as_target,
        labelled_words: LabelledWords | None = None,
        relabelling: Relabelling | None = None,
        untargeted: str = UNPLACED_VALUE,
        novel_rule: NovelRule | None = None,
        span_rule: SpanRule | None = None,
    ) -> None:
        assert labeller is not None or not config.disagreement_weight
        assert encoder is not None or not config.needs_encoder
        self._labeller = labeller
        self._evaluation = evaluation
        self._rejected = frozenset(map(normalise, rejected))
        self._kept_before = frozenset(map(normalise, kept_before))
        self._target_of = target_of
        self._labelled_words = labelled_words
        self._relabelling = relabelling
        self._untargeted = untargeted
        self._novel_rule = novel_rule
        self._span_rule = span_rule
        self._combinations = {frozenset(seed.attributes) for seed in seeds}
        self._config = config
        self._encoder = encoder
        self._seeds = tuple(seeds)
        self._rows = {seed.uid: row for row, seed in enumerate(self._seeds)}
        self._seed_texts = frozenset(normalise(seed.text) for seed in self._seeds)
        self._frequencies = attribute_frequencies(self._seeds)
        self._seed_vectors: FloatArray | None = None

    def judge(
        self, units: Sequence[Unit], generated: Sequence[Sequence[Generated]]
    ) -> list[list[Candidate]]:
        """Return every candidate of every unit with its verdict, in the order they were made.

        What a lexical rule drops, or the LM's own doubt, is never encoded; the rest
        of all units is encoded in one call, each text once.

        Raises:
            TaskDataError: a unit's seed example is not among the seed examples.
        """
        reasons = [
            lexical_reasons(
                unit,
                [g.text for g in made],
                seed_texts=self._seed_texts,
                require_values=self._config.require_values,
                evaluation=self._evaluation,
                rejected=self._rejected,
                kept_before=self._kept_before,
            )
            for unit, made in zip(units, generated, strict=True)
        ]
        targets = [
            [self._target_of(unit.constraint, g.text) for g in made]
            for unit, made in zip(units, generated, strict=True)
        ]
        reasons = [
            [r or self._later_reason(g, t) for g, t, r in zip(made, said, why, strict=True)]
            for made, said, why in zip(generated, targets, reasons, strict=True)
        ]
        read = self._read(generated, reasons)
        scored = self._scores(units, read)
        given = self._given(scored, read)
        doubted = self._doubted(units, read, targets, scored)
        return [
            self._verdicts(unit, list(zip(made, said, strict=True)), why, judged)
            for unit, made, said, why, judged in zip(
                units,
                generated,
                targets,
                reasons,
                zip(scored, given, doubted, strict=True),
                strict=True,
            )
        ]

    def _later_reason(self, made: Generated, target: str | None) -> str | None:
        limit = self._config.max_surprise
        if target is None:
            return self._untargeted
        if self._labelled_words is not None and self._labelled_words.unasked(target):
            return UNASKED_VALUE
        return UNLIKELY if limit is not None and surprise(made) > limit else None

    def _read(
        self,
        generated: Sequence[Sequence[Generated]],
        reasons: Sequence[Sequence[str | None]],
    ) -> _Read:
        passing = [
            {k: made[k].text for k, reason in enumerate(why) if reason is None}
            for made, why in zip(generated, reasons, strict=True)
        ]
        texts = sorted({text for of_unit in passing for text in of_unit.values()})
        rows = {text: row for row, text in enumerate(texts)}
        return _Read(passing, rows, self._vectors(texts))

    def _scores(self, units: Sequence[Unit], read: _Read) -> list[dict[int, _Score]]:
        """Return, for each unit, the scores of the candidates that have no reason yet."""
        probabilities = self._probabilities(read.vectors)
        return [
            {
                k: self._score(unit, read.vectors[row], probabilities, row)
                for k, text in of_unit.items()
                for row in [read.rows[text]]
            }
            for unit, of_unit in zip(units, read.passing, strict=True)
        ]

    def _given(self, scored: Sequence[Mapping[int, _Score]], read: _Read) -> list[dict[int, str]]:
        """Return, for each unit, the LM's class of each candidate that is not too noisy."""
        if self._relabelling is None:
            return [{} for _ in scored]
        limit = self._config.max_noise_score
        wanted = [
            {k: read.passing[i][k] for k, s in scores.items() if s.noise <= limit}
            for i, scores in enumerate(scored)
        ]
        texts = sorted({text for of_unit in wanted for text in of_unit.values()})
        vectors = read.vectors[[read.rows[text] for text in texts]] if self._encoder else None
        labels = self._relabelling.relabeller.labels(texts, vectors)
        of = dict(zip(texts, labels, strict=True))
        return [{k: of[text] for k, text in of_unit.items()} for of_unit in wanted]

    def _doubted(
        self,
        units: Sequence[Unit],
        read: _Read,
        targets: Sequence[Sequence[str | None]],
        scored: Sequence[Mapping[int, _Score]],
    ) -> list[dict[int, str]]:
        """Return, for each unit, candidate -> why those that learned from seeds do not agree."""
        doubted: list[dict[int, str]] = [{} for _ in units]
        if self._span_rule is not None:
            limit = self._config.max_noise_score
            wanted = [
                {k: said[k] or "" for k, score in scores.items() if score.noise <= limit}
                for said, scores in zip(targets, scored, strict=True)
            ]
            for own, misread in zip(doubted, self._span_rule.misread(wanted), strict=True):
                own |= dict.fromkeys(misread, SPANS_NOT_AGREED)
        if self._novel_rule is not None:
            asked = [
                (place, k, unit.constraint.attributes, read.vectors[read.rows[text]])
                for place, (unit, of_unit) in enumerate(zip(units, read.passing, strict=True))
                if frozenset(unit.constraint.attributes) not in self._combinations
                for k, text in of_unit.items()
            ]
            unsure = self._novel_rule.unsure([(names, vector) for *_, names, vector in asked])
            for (place, k, *_), is_unsure in zip(asked, unsure, strict=True):
                if is_unsure:
                    doubted[place][k] = NOT_AGREED
        return doubted

    def _vectors(self, texts: Sequence[str]) -> FloatArray:
        if self._encoder is None or not texts:
            return np.zeros((len(texts), 0), dtype=np.float32)
        return self._encoder.encode(texts)

    def _probabilities(self, vectors: FloatArray) -> FloatArray | None:
        if self._labeller is None or not self._config.disagreement_weight or not len(vectors):
            return None
        return self._labeller.probabilities(vectors)

    def _score(
        self, unit: Unit, vector: FloatArray, probabilities: FloatArray | None, row: int
    ) -> _Score:
        doubt = 0.0
        if probabilities is not None and self._labeller is not None:
            asked = np.isin(self._labeller.labels, unit.constraint.attributes)
            doubt = disagreement(probabilities[row], asked)
        similarity = float(self._seed_vector(unit) @ vector) if len(vector) else math.nan
        noise = noise_score(
            overlap=attribute_overlap(unit.constraint, self._frequencies),
            similarity=similarity if len(vector) else 0.0,
            disagreement=doubt,
            weights=self._config.weights,
        )
        return _Score(noise, similarity)

    def _seed_vector(self, unit: Unit) -> FloatArray:
        if unit.seed_uid not in self._rows:
            raise TaskDataError(
                f"unit {unit.id} was planned from seed example {unit.seed_uid!r}, which is not "
                f"among the {len(self._seeds)} seed examples; the task's data has changed."
            )
        if self._seed_vectors is None:
            # A labeller has read the seed examples already, in this order.
            self._seed_vectors = (
                self._vectors([seed.text for seed in self._seeds])
                if self._labeller is None
                else self._labeller.seed_vectors
            )
        vector: FloatArray = self._seed_vectors[self._rows[unit.seed_uid]]
        return vector

    def _verdicts(
        self,
        unit: Unit,
        made: Sequence[tuple[Generated, str | None]],
        lexical: Sequence[str | None],
        judged: tuple[Mapping[int, _Score], dict[int, str], dict[int, str]],
    ) -> list[Candidate]:
        scores, given, doubted = judged
        overlap = attribute_overlap(unit.constraint, self._frequencies)
        reasons: dict[int, str | None] = dict(doubted)
        reasons |= dict.fromkeys(self._disagreeing(unit, given), DISAGREED)
        left = {k: score.noise for k, score in scores.items() if k not in reasons}
        reasons |= keep_reasons(left, self._config)
        return [
            Candidate(
                candidate_id=unit.id * CANDIDATES_PER_UNIT_LIMIT + k,
                text=one.text,
                target=self._final_target(unit, one.text, given.get(k), target) or "",
                kept=(reason := lexical[k] or reasons[k]) is None,
                reason=reason,
                noise_score=scores[k].noise if k in scores else math.nan,
                similarity=scores[k].similarity if k in scores else math.nan,
                attribute_overlap=overlap,
                num_tokens=one.num_tokens,
                logprob=one.logprob,
                relabelled=given.get(k),
                replaced=self._replaces(unit, given.get(k)),
            )
            for k, (one, target) in enumerate(made)
        ]

    def _disagreeing(self, unit: Unit, given: dict[int, str]) -> set[int]:
        if self._relabelling is None:
            return set()
        return self._relabelling.disagreeing(unit.constraint.attributes[0], given)

    def _replaces(self, unit: Unit, label: str | None) -> bool:
        if self._relabelling is None:
            return False
        return self._relabelling.replaces(unit.constraint.attributes[0], label)

    def _final_target(
        self, unit: Unit, text: str, label: str | None, target: str | None
    ) -> str | None:
        if label is None or not self._replaces(unit, label):
            return target
        return self._target_of(replace(unit.constraint, attributes=(label,)), text)
