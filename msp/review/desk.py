"""The desk: hands candidates to sessions, takes their decisions, and knows how far all of it is.

Everything here is what the page asks for, without HTTP: it is tested as it is.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msp.errors import UserError
from msp.metrics.collect import SAMPLE_SIZE
from msp.metrics.stored_tally import read_tally
from msp.records import Example
from msp.report.wording import reason_words
from msp.review.decisions import Decision, DecisionLog, Verdict, read_decisions, text_sha256
from msp.review.labelling import Reviewable, accepted_example, corrected_example
from msp.review.opened import OpenedRun
from msp.review.queue import Queue, draw_queue, names_of

# A candidate on somebody's screen is kept from others for so long.
CLAIM_SECONDS = 300.0
# Others' decisions are looked for no more often than this.
REFRESH_SECONDS = 2.0
MAX_HANDED_OUT = 50


class RequestError(UserError):
    """What a page sent makes no sense; nothing was stored."""


@dataclass(frozen=True, slots=True)
class _Claim:
    session: str
    until: float


class Desk:
    """The review of one run by any number of sessions, in any number of threads.

    Args:
        run: a finished one.
        lot: the seed of what is drawn; a new one each time by default, so that two
            servers of one run begin with different candidates.
    """

    def __init__(self, run: OpenedRun, *, lot: int | None = None) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._log: DecisionLog = read_decisions(run.store)
        self._refreshed = time.monotonic()
        self._claims: dict[int, _Claim] = {}
        self._seen: dict[str, set[int]] = {}
        self._num_made = 0
        self._scores = run.scores()
        self._queue: Queue = draw_queue(
            run.store,
            run.config.denoise,
            weakest=self._weakest(),
            decided={number: word.text_sha256 for number, word in self._log.words().items()},
            lot=secrets.randbits(32) if lot is None else lot,
        )

    def start(self) -> dict[str, Any]:
        """Return a new session, and what its page has to know of the run."""
        task, session = self._run.task, secrets.token_hex(8)
        with self._lock:
            self._seen[session] = set()
            return {
                "session": session,
                "run": self._run.store.uri,
                "kind": task.kind,
                "valued": [*task.tags, *(slot.name for slot in task.ontology.slots)],
                "attributes": [
                    {
                        "name": a.name,
                        "words": a.words,
                        "description": a.description,
                        "is_label": not a.is_slot,
                    }
                    for a in task.ontology.all
                ],
                "notes": list(self._run.notes),
                "progress": self._progress(),
            }

    def hand_out(self, session: str, num: int, attribute: str | None = None) -> dict[str, Any]:
        """Return up to ``num`` candidates that nobody has decided on, the weakest attribute first.

        None comes to a session twice, and none that is on another's screen while
        there is another one.

        Args:
            session: whose page asks.
            num: how many.
            attribute: only those that were asked for this one, if any.
        """
        if attribute is not None and attribute not in self._queue.attributes:
            raise RequestError(f"no candidate was asked for {attribute!r}.")
        self._check_session(session)
        with self._lock:
            self._refresh()
            chosen = self._choose(session, min(max(num, 0), MAX_HANDED_OUT), attribute)
            until = time.monotonic() + CLAIM_SECONDS
            self._claims |= dict.fromkeys(chosen, _Claim(session, until))
            self._seen[session].update(chosen)
            shown = [self._shown(self._queue.candidates[number]) for number in chosen]
            return {"candidates": shown, "progress": self._progress()}

    def decide(
        self,
        session: str,
        number: int,
        *,
        candidate_id: int,
        verdict: Verdict,
        correction: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the progress once a decision is in the store.

        Args:
            session: who decides.
            number: of the decision in the session; the same again is the same decision.
            candidate_id: what it is on.
            verdict: ``accepted``, ``rejected`` or ``corrected``.
            correction: of ``corrected``: ``text``, ``attributes`` and ``values``.

        Raises:
            UserError: there is no such candidate, or the correction cannot be an example.
            StorageError: it is not stored.
        """
        self._check_session(session)
        candidate = self._candidate(candidate_id)
        example = self._example(candidate, verdict, correction or {})
        return self._store(candidate, verdict, session, number, example=example)

    def undo(self, session: str, number: int, *, candidate_id: int, undoes: int) -> dict[str, Any]:
        """Return the progress once a session has taken back one of its own decisions."""
        self._check_session(session)
        candidate = self._candidate(candidate_id)
        found = self._log.of_session(candidate_id, session, undoes)
        if found is None or found.verdict == "undone":
            raise RequestError(f"this session has made no decision {undoes} on {candidate_id}.")
        return self._store(candidate, "undone", session, number, undoes=undoes)

    def release(self, session: str, candidate_id: int) -> dict[str, Any]:
        """Let others have a candidate that a session skips."""
        with self._lock:
            claim = self._claims.get(candidate_id)
            if claim is not None and claim.session == session:
                del self._claims[candidate_id]
            return {"progress": self._progress()}

    def summary(self) -> dict[str, Any]:
        """Return how many decisions were made here, and what all of the run's come to."""
        with self._lock:
            verdicts = Counter(word.verdict for word in self._log.words().values())
            return {
                "num_decisions": self._num_made,
                **{f"num_{name}": verdicts[name] for name in ("accepted", "corrected", "rejected")},
            }

    def _weakest(self) -> list[str]:
        """Return the attributes, those of which the student knows least first.

        That is by its F1 on test; where it has none, by how many candidates were
        kept, and by seed examples where nobody has counted those.
        """
        run = self._run
        tally = read_tally(run.store, SAMPLE_SIZE, seed=run.config.seed)
        counts = tally.attributes if tally is not None else _carriers(run.task.seeds)
        names = [attribute.name for attribute in run.task.ontology.all]

        def strength(name: str) -> tuple[bool, float, str]:
            measured = name in self._scores
            return not measured, self._scores[name] if measured else counts[name], name

        return sorted(names, key=strength)

    def _choose(self, session: str, num: int, attribute: str | None) -> list[int]:
        now, seen = time.monotonic(), self._seen[session]
        wanted = None if attribute is None else self._queue.attributes[attribute]
        free: list[int] = []
        taken: list[int] = []
        for number in self._queue.line:
            if len(free) == num:
                break
            if number in seen or (wanted is not None and number not in wanted):
                continue
            if self._word(number) is not None:
                continue
            claim = self._claims.get(number)
            mine = claim is None or claim.until < now or claim.session == session
            (free if mine else taken).append(number)
        # The last ones are shown to two people rather than to none.
        return free or taken[:num]

    def _check_session(self, session: str) -> None:
        if session not in self._seen:
            raise RequestError("this page is of an earlier server; load it again.")

    def _refresh(self) -> None:
        if time.monotonic() - self._refreshed >= REFRESH_SECONDS:
            self._log.refresh()
            self._refreshed = time.monotonic()

    def _word(self, candidate_id: int) -> Decision | None:
        """Return what holds of a candidate, of decisions on the text that it has here."""
        word = self._log.word(candidate_id)
        text = self._queue.candidates[candidate_id].text
        return word if word is not None and word.text_sha256 == text_sha256(text) else None

    def _candidate(self, candidate_id: int) -> Reviewable:
        candidate = self._queue.candidates.get(candidate_id)
        if candidate is None:
            raise RequestError(f"candidate {candidate_id} is not among those to review.")
        return candidate

    def _example(
        self, candidate: Reviewable, verdict: Verdict, correction: Mapping[str, Any]
    ) -> Example | None:
        if verdict == "rejected":
            return None
        if verdict == "accepted":
            return accepted_example(candidate, self._run.task)
        if verdict != "corrected" or set(correction) != {"text", "attributes", "values"}:
            raise RequestError("a correction has text, attributes and values.")
        return corrected_example(candidate, self._run.task, **correction)

    def _store(
        self,
        candidate: Reviewable,
        verdict: Verdict,
        session: str,
        number: int,
        *,
        example: Example | None = None,
        undoes: int | None = None,
    ) -> dict[str, Any]:
        decision = Decision(
            candidate_id=candidate.candidate_id,
            verdict=verdict,
            session=session,
            number=number,
            time="",
            round=candidate.round,
            shard=candidate.shard,
            text_sha256=text_sha256(candidate.text),
            example=example,
            undoes=undoes,
        )
        with self._lock:
            is_new = self._log.of_session(candidate.candidate_id, session, number) is None
            try:
                self._log.add(decision)
            except ValueError as error:
                raise RequestError(f"this is no decision: {error}.") from error
            self._num_made += is_new
            self._claims.pop(candidate.candidate_id, None)
            return {"progress": self._progress()}

    def _progress(self) -> dict[str, Any]:
        words = self._log.words()
        here = [number for number in words if number in self._queue.candidates]
        decided = [number for number in here if self._word(number) is not None]
        by_name = Counter(
            name for number in decided for name in names_of(self._queue.candidates[number])
        )
        return {
            "num_decided": len(words),
            "num_left": len(self._queue.candidates) - len(decided),
            "attributes": [
                [name, self._scores.get(name), by_name[name], len(ids)]
                for name, ids in self._queue.attributes.items()
            ],
        }

    def _shown(self, candidate: Reviewable) -> dict[str, Any]:
        """Return a candidate as the page gets it: plain values, no markup of any kind."""
        title, why = reason_words(candidate.reason) if candidate.reason else ("", "")
        seed = self._run.seeds.get(candidate.seed_uid)
        noise = candidate.noise_score
        return {
            "id": str(candidate.candidate_id),  # JavaScript rounds above 2**53
            "text": candidate.text,
            "attributes": list(candidate.attributes),
            "values": [[slot, list(texts)] for slot, texts in candidate.values.items()],
            "kept": candidate.reason is None,
            "reason": title,
            "why": why,
            "noise": None if math.isnan(noise) else noise,
            "cut": self._run.config.denoise.max_noise_score,
            "seed": None if seed is None else seed.text,
        }


def _carriers(seeds: Sequence[Example]) -> Counter[str]:
    return Counter(name for seed in seeds for name in (*seed.attributes, *seed.values))
