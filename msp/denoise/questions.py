"""The judge of questions with options: what a reply holds, whether it is one, whether it is new."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from msp.config import RunConfig
from msp.denoise.contamination import EvaluationTexts
from msp.denoise.keep import OVER_QUOTA
from msp.denoise.near import NearTexts
from msp.denoise.noise import attribute_frequencies, attribute_overlap
from msp.denoise.rules import lexical_reasons, normalise
from msp.denoise.salvage import Broken, Piece, piece_of_line, pieces_of, read_piece
from msp.denoise.scorer import UNLIKELY, surprise
from msp.methods.base import unit_rng
from msp.prompts.question_text import opening
from msp.records import CANDIDATES_PER_UNIT_LIMIT, Candidate, Generated, Unit
from msp.tasks.base import TaskData
from msp.tasks.questions import ChoiceQuestion


class QuestionScorer:
    """Judges the replies of units; a unit has as many candidates as its replies have pieces.

    Args:
        config: ``generate`` and ``denoise``, of which the noise score has no say.
        task: its seed examples and the form of its questions.
        evaluation: texts that no candidate may hold.
    """

    def __init__(
        self, config: RunConfig, task: TaskData, evaluation: EvaluationTexts | None = None
    ) -> None:
        assert task.questions is not None
        self._config, self._form = config, task.questions
        self._evaluation = evaluation
        self._seeds = NearTexts(config.denoise, [seed.text for seed in task.seeds])
        self._frequencies = attribute_frequencies(task.seeds)
        self._rejected = frozenset(map(normalise, task.rejected))

    def judge(
        self, units: Sequence[Unit], generated: Sequence[Sequence[Generated]]
    ) -> list[list[Candidate]]:
        """Return every piece of every unit's replies with its verdict, in their order."""
        return [self._judged(unit, made) for unit, made in zip(units, generated, strict=True)]

    def _judged(self, unit: Unit, made: Sequence[Generated]) -> list[Candidate]:
        found = list(islice(self._pieces(unit, made), CANDIDATES_PER_UNIT_LIMIT))
        asked = unit.constraint.attributes
        read = [read_piece(piece, self._form, asked) for piece, _ in found]
        whole = [(k, one) for k, one in enumerate(read) if isinstance(one, ChoiceQuestion)]
        reasons = {k: one.reason for k, one in enumerate(read) if isinstance(one, Broken)}
        reasons |= self._later_reasons(unit, whole, [share for _, share in found])
        return [
            self._candidate(unit, k, one, share, reasons.get(k))
            for k, (one, (_, share)) in enumerate(zip(read, found, strict=True))
        ]

    def _pieces(self, unit: Unit, made: Sequence[Generated]) -> Iterator[tuple[Piece, Generated]]:
        """Yield the pieces of a unit's replies, each with its share of the reply's tokens."""
        for reply in made:
            pieces = self._pieces_of(reply, unit.constraint.attributes)
            each, more = divmod(reply.num_tokens, len(pieces))
            for k, piece in enumerate(pieces):
                num_tokens = each + (k < more)
                share = num_tokens / reply.num_tokens if reply.num_tokens else 0.0
                yield piece, Generated(piece.text, num_tokens, reply.logprob * share)

    def _pieces_of(self, reply: Generated, asked: Sequence[str]) -> list[Piece]:
        generate = self._config.generate
        if not generate.grows or generate.data_creation.format == "lines":
            is_cut = reply.num_tokens >= generate.max_new_tokens
            return [piece_of_line(reply.text, self._form, asked, is_cut=is_cut)]
        whole = opening(asked, self._form) + reply.text
        return pieces_of(whole, max_items=generate.data_creation.max_items_per_reply)

    def _later_reasons(
        self,
        unit: Unit,
        whole: Sequence[tuple[int, ChoiceQuestion]],
        shares: Sequence[Generated],
    ) -> dict[int, str]:
        """Return why whole questions are dropped: they are not new, not likely, or too many."""
        denoise = self._config.denoise
        lexical = lexical_reasons(
            unit,
            [question.question for _, question in whole],
            seed_texts=self._seeds,
            require_values=False,
            evaluation=self._evaluation,
            rejected=self._rejected,
        )
        reasons: dict[int, str] = {}
        num_kept = 0
        for (k, _), reason in zip(whole, lexical, strict=True):
            limit = denoise.max_surprise
            if reason is None and limit is not None and surprise(shares[k]) > limit:
                reason = UNLIKELY
            if reason is None and num_kept >= denoise.num_kept_per_unit:
                reason = OVER_QUOTA
            num_kept += reason is None
            if reason is not None:
                reasons[k] = reason
        return reasons

    def _candidate(
        self,
        unit: Unit,
        place: int,
        read: ChoiceQuestion | Broken,
        share: Generated,
        reason: str | None,
    ) -> Candidate:
        candidate_id = unit.id * CANDIDATES_PER_UNIT_LIMIT + place
        text, target = (
            (read.text, "")
            if isinstance(read, Broken)
            else (read.question, self._shuffled(read, candidate_id).target)
        )
        return Candidate(
            candidate_id=candidate_id,
            text=text,
            target=target,
            kept=reason is None,
            reason=reason,
            noise_score=math.nan,
            similarity=math.nan,
            attribute_overlap=attribute_overlap(unit.constraint, self._frequencies),
            num_tokens=share.num_tokens,
            logprob=share.logprob,
        )

    def _shuffled(self, read: ChoiceQuestion, candidate_id: int) -> ChoiceQuestion:
        """Return the question with its own options in an order drawn by its id.

        LMs put the right one first more often than not, and whoever learns from them would too.
        """
        if self._form.options:
            return read
        rng = unit_rng("options", self._config.seed, candidate_id)
        order = rng.permutation(len(read.options)).tolist()
        options = tuple(read.options[place] for place in order)
        return ChoiceQuestion(read.question, read.context, options, read.label)
