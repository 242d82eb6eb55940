"""Decisions of people on candidates: each is one object that is written once and never changes.

Nothing is overwritten, so two people at once lose nothing; what holds is
worked out from all that is there. A decision is acknowledged when its object is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from msp.errors import DamagedError, StorageError
from msp.records import Example
from msp.storage import layout
from msp.storage.seal import CHECKSUM_KEY, UNSEALED, check_seal, damaged, sealed
from msp.storage.store import ObjectStore

Verdict = Literal["accepted", "rejected", "corrected", "undone"]

_SESSION = re.compile(r"[0-9a-f]{16}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_MAX_NUMBER = 999_999
# Small objects from a distant store: what takes long is the way there.
_NUM_THREADS = 16
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of one candidate.

    Args:
        candidate_id: the candidate.
        verdict: ``undone`` takes an earlier one back.
        session: 16 hexadecimal digits: one visit to the page.
        number: of the decision in its session, from 0.
        time: when it was made, ISO 8601 with microseconds, UTC: later is greater as text.
        round: where the candidate is: its round
        shard: and its shard.
        text_sha256: of the candidate's text as it was shown.
        example: what an accepted or corrected candidate stands for; None otherwise.
        undoes: the number, in the same session, of what an ``undone`` takes back.
    """

    candidate_id: int
    verdict: Verdict
    session: str
    number: int
    time: str
    round: int
    shard: int
    text_sha256: str
    example: Example | None = None
    undoes: int | None = None

    @property
    def key(self) -> str:
        """Where it is in the store."""
        return layout.decision_key(self.candidate_id, self.session, self.number)

    def to_json(self) -> bytes:
        """Return it as JSON bytes that carry their own checksum."""
        return sealed(json.dumps({CHECKSUM_KEY: UNSEALED, **asdict(self)}, indent=1).encode())


def parse_decision(found: bytes, name: str) -> Decision:
    """Return the decision of an object's bytes.

    Raises:
        DamagedError: they are not as they were written; says so of ``name``.
    """
    check_seal(found, name)
    try:
        tree = json.loads(found)
        del tree[CHECKSUM_KEY]
        example = tree.pop("example")
        decision = Decision(**tree, example=None if example is None else _example(example))
        _check(decision)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(name, f"it is no decision: {error}") from error
    return decision


def text_sha256(text: str) -> str:
    """Return the SHA-256 (hex) of a text, whatever it holds."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def last_word(decisions: Iterable[Decision]) -> Decision | None:
    """Return what holds of one candidate: the last decision by time that was not taken back.

    Ties go by session and number, so that every reader says the same.
    """
    made = list(decisions)
    undone = {(d.session, d.undoes) for d in made if d.verdict == "undone"}
    standing = [d for d in made if d.verdict != "undone" and (d.session, d.number) not in undone]
    return max(standing, key=lambda d: (d.time, d.session, d.number), default=None)


class DecisionLog:
    """The decisions of a run: those in its store, as they were last read, and those made here.

    Args:
        store: the run's.

    Attributes:
        damaged: keys of objects that are not as they were written; they count for nothing.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, Decision] = {}
        self._by_candidate: defaultdict[int, list[Decision]] = defaultdict(list)
        self.damaged: set[str] = set()

    def refresh(self) -> None:
        """Read what others have decided since; only what is new is read."""
        keys = [info.key for info in self._store.list(layout.REVIEW_PREFIX)]
        new = [key for key in keys if key not in self._known and key not in self.damaged]
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            for key, found in zip(new, pool.map(self._read, new), strict=True):
                if found is None:
                    self.damaged.add(key)
                else:
                    self._add(found)

    def add(self, decision: Decision) -> Decision:
        """Return the decision as it is in the store, later than all known of its candidate.

        A page that did not hear the answer sends the same again; then what is there stands.

        Raises:
            StorageError: it could not be stored, or its name holds another one.
        """
        decision = replace(decision, time=self._next_time(decision.candidate_id))
        _check(decision)
        if not self._store.write_once(decision.key, decision.to_json()):
            name = f"{self._store.uri}/{decision.key}"
            there = parse_decision(self._store.read(decision.key), name)
            if replace(there, time=decision.time) != decision:
                raise StorageError(f"{name}: holds another decision; load the page again.")
            decision = there
        self._add(decision)
        return decision

    def word(self, candidate_id: int) -> Decision | None:
        """Return what holds of a candidate; None where nobody has decided."""
        return last_word(self._by_candidate.get(candidate_id, ()))

    def words(self) -> dict[int, Decision]:
        """Return candidate id -> what holds of it, of those that have been decided."""
        found = {number: self.word(number) for number in sorted(self._by_candidate)}
        return {number: word for number, word in found.items() if word is not None}

    def of_session(self, candidate_id: int, session: str, number: int) -> Decision | None:
        """Return one decision by its name; None where there is none."""
        return self._known.get(layout.decision_key(candidate_id, session, number))

    def _add(self, decision: Decision) -> None:
        if decision.key not in self._known:
            self._known[decision.key] = decision
            self._by_candidate[decision.candidate_id].append(decision)

    def _next_time(self, candidate_id: int) -> str:
        """Return now, or just after the last decision where a clock is behind it."""
        known = max((d.time for d in self._by_candidate.get(candidate_id, ())), default="")
        now = _now()
        if known and written_time(now) <= known:
            now = datetime.fromisoformat(known) + _TICK
        return written_time(now)

    def _read(self, key: str) -> Decision | None:
        try:
            decision = parse_decision(self._store.read(key), f"{self._store.uri}/{key}")
        except DamagedError:
            return None
        return decision if decision.key == key else None


def read_decisions(store: ObjectStore) -> DecisionLog:
    """Return all decisions that are in a run's store now."""
    log = DecisionLog(store)
    log.refresh()
    return log


def written_time(when: datetime) -> str:
    """Return a time as decisions hold it: of two, the later is the greater text."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _now() -> datetime:
    return datetime.now(UTC)


def _example(tree: Mapping[str, Any]) -> Example:
    values = {str(slot): tuple(texts) for slot, texts in tree["values"].items()}
    return Example(**{**tree, "attributes": tuple(tree["attributes"]), "values": values})


def _check(decision: Decision) -> None:
    """Pass where a decision's fields are what their types say.

    Raises:
        ValueError: they are not; such a decision came from a page or an object of others.
    """
    numbers: Sequence[object] = (
        decision.candidate_id,
        decision.number,
        decision.round,
        decision.shard,
    )
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("a number is none, or below 0")
    if decision.number > _MAX_NUMBER or not _SESSION.fullmatch(decision.session):
        raise ValueError("its session or its number is none")
    if decision.verdict not in get_args(Verdict) or not _TIME.fullmatch(decision.time):
        raise ValueError("its verdict or its time is none")
    if (decision.verdict in ("accepted", "corrected")) != (decision.example is not None):
        raise ValueError("only what is accepted or corrected has an example")
    if (decision.verdict == "undone") != (decision.undoes is not None):
        raise ValueError("only what is undone names what it undoes")
