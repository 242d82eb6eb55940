"""Decisions: none is lost, none is changed, and everybody agrees on the last word."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msp.errors import DamagedError, StorageError
from msp.records import Example
from msp.review import decisions
from msp.review.decisions import (
    Decision,
    DecisionLog,
    last_word,
    parse_decision,
    read_decisions,
    text_sha256,
)
from msp.storage import layout
from msp.storage.damage import set_aside_damaged
from msp.storage.store import ObjectStore, open_store

SESSIONS = ("a" * 16, "b" * 16)
EXAMPLE = Example(
    "7", "hello \U0001f600 \u202e", ("greet", "ask"), {"time": ("6 pm",)}, "desk", "t"
)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def decision(candidate: int, verdict: str, session: str, number: int, **more: object) -> Decision:
    example = EXAMPLE if verdict in ("accepted", "corrected") else None
    made = Decision(candidate, verdict, session, number, "", 0, 3, text_sha256("x"), example)  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path))


def test_a_decision_comes_back_as_it_was(store: ObjectStore) -> None:
    made = DecisionLog(store).add(decision(7, "corrected", SESSIONS[0], 0))
    assert made.example == EXAMPLE
    assert read_decisions(store).word(7) == made
    assert [info.key for info in store.list()] == [layout.decision_key(7, SESSIONS[0], 0)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.integers(1, 3),
        st.sampled_from(["accepted", "rejected", "corrected", "undo"]),
        st.integers(-5, 5),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=60)
def test_any_interleaving_of_two_sessions_and_undo_leaves_the_last_word(
    steps: list[tuple[int, int, str, int]],
) -> None:
    """Clocks jump to and fro; each session has read the store before it decides."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        store = open_store(folder)
        logs, numbers = [DecisionLog(store), DecisionLog(store)], [itertools.count() for _ in "ab"]
        standing: list[tuple[int, Decision]] = []  # what holds, in the order in which it was said
        for who, candidate, verdict, minutes in steps:
            patch.setattr(decisions, "_now", lambda m=minutes: NOON + timedelta(minutes=m))
            logs[who].refresh()
            mine = [made for by, made in standing if by == who and made.candidate_id == candidate]
            if verdict != "undo":
                made = decision(candidate, verdict, SESSIONS[who], next(numbers[who]))
                standing.append((who, logs[who].add(made)))
            elif mine:
                undone = decision(candidate, "undone", SESSIONS[who], next(numbers[who]))
                logs[who].add(replace(undone, undoes=mine[-1].number))
                standing.remove((who, mine[-1]))
        expected = {made.candidate_id: made for _, made in standing}
        assert read_decisions(store).words() == expected
        for log in logs:
            log.refresh()
            assert log.words() == expected


@given(st.permutations([decision(1, v, s, n, time=t) for v, s, n, t in [
    ("accepted", SESSIONS[0], 0, "1"), ("rejected", SESSIONS[1], 0, "1"),
    ("corrected", SESSIONS[0], 1, "0"), ("accepted", SESSIONS[1], 1, "0"),
]]))  # fmt: skip
def test_the_last_word_does_not_depend_on_the_order_of_reading(made: list[Decision]) -> None:
    word = last_word(made)
    assert word is not None and (word.verdict, word.session) == ("rejected", SESSIONS[1])


def test_two_that_decide_at_once_without_seeing_each_other_lose_nothing(store: ObjectStore) -> None:
    for session, verdict in zip(SESSIONS, ("accepted", "rejected"), strict=True):
        for candidate in range(20):
            DecisionLog(store).add(decision(candidate, verdict, session, candidate))
    log = read_decisions(store)
    assert len(list(store.list(layout.REVIEW_PREFIX))) == 40
    assert {word.verdict for word in log.words().values()} == {"rejected"}


def test_the_same_sent_again_is_one_decision_and_another_by_its_name_is_refused(
    store: ObjectStore,
) -> None:
    first = DecisionLog(store).add(decision(7, "accepted", SESSIONS[0], 0))
    assert DecisionLog(store).add(decision(7, "accepted", SESSIONS[0], 0)) == first
    with pytest.raises(StorageError, match="holds another decision"):
        DecisionLog(store).add(decision(7, "rejected", SESSIONS[0], 0))


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d.replace(b"hello", b"hullo")])
def test_a_damaged_decision_is_named_and_counts_for_nothing(store: ObjectStore, damage) -> None:
    made = DecisionLog(store).add(decision(7, "accepted", SESSIONS[0], 0))
    store.write(made.key, damage(store.read(made.key)))
    log = read_decisions(store)
    assert log.words() == {} and log.damaged == {made.key}
    # It cannot be made again, so a run that mends itself leaves it where it is.
    assert set_aside_damaged(store) == []


@pytest.mark.parametrize(
    "fault",
    [{"session": "../x"}, {"number": -1}, {"verdict": "maybe"}, {"example": None}, {"undoes": 1}],
)
def test_what_is_no_decision_is_never_stored(store: ObjectStore, fault: dict[str, object]) -> None:
    with pytest.raises((ValueError, StorageError)):
        DecisionLog(store).add(replace(decision(7, "accepted", SESSIONS[0], 0), **fault))
    assert list(store.list()) == []


def test_an_object_that_is_no_decision_is_damaged() -> None:
    with pytest.raises(DamagedError, match=r"thing\.json"):
        parse_decision(b'{"candidate_id": 1}', "thing.json")
