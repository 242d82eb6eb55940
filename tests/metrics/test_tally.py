"""A tally of a whole is the tally of its parts, however it was split and merged."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.metrics.sample import SampledCandidate
from msp.metrics.tally import Tally
from msp.records import CANDIDATES_SCHEMA, Candidate, Constraint, Mix, Unit, unit_row

SAMPLE_SIZE = 6
LABELS = ("refund", "cancel", "greet")
Made = list[tuple[str | None, float, str]]


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of ``candidates/``: few labels, slots, reasons and texts, so that all of them recur."""
    judged = st.tuples(
        st.sampled_from((None, "off_topic", "empty")),
        st.floats(0, 2, width=32) | st.just(math.nan),
        st.sampled_from(("cancel it on friday", "hello", "", "naïve \u2028 \U0001f6b2")),
    )
    unit = st.tuples(
        st.lists(st.sampled_from(LABELS), unique=True),
        st.sampled_from(((), ("friday",), ("friday", "now"))),
        st.lists(judged, max_size=4),
    )
    return [_row(id, *made) for id, made in enumerate(draw(st.lists(unit, max_size=25)))]


def _row(id: int, labels: list[str], texts: tuple[str, ...], made: Made) -> dict[str, Any]:
    constraint = Constraint(tuple(labels), {"date": texts, "city": texts[:1]}, "travel")
    unit = Unit(id, id % 2, "msp", f"s:{id % 3}", constraint, (), len(made), 0)
    return unit_row(unit, [_candidate(id, k, *judged) for k, judged in enumerate(made)])


def _candidate(id: int, index: int, reason: str | None, noise: float, text: str) -> Candidate:
    number = id * 2**16 + index
    return Candidate(number, text, "", reason is None, reason, noise, 1 - noise, 0.5, 4, -1.0)


def tally_of(rows: Iterable[dict[str, Any]], sample_size: int = SAMPLE_SIZE) -> Tally:
    tally = Tally(sample_size, seed=3)
    tally.add_table(pa.Table.from_pylist(list(rows), schema=CANDIDATES_SCHEMA))
    return tally


def merged(tallies: Sequence[Tally]) -> Tally:
    """Return the tally of all, each having travelled as text."""
    whole = Tally(SAMPLE_SIZE, seed=3)
    for tally in tallies:
        whole.merge(json.loads(json.dumps(tally.state(), allow_nan=False)))
    return whole


def as_text(tally: Tally) -> str:
    return json.dumps([tally.state(), [row.as_json() for row in tally.sample.rows()]])


@pytest.fixture(autouse=True, scope="module")
def few_of_each() -> Iterable[None]:
    """Bounds so low that small tables go beyond them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("msp.metrics.tally.MAX_COMBINATIONS", 3)
        patch.setattr("msp.metrics.sample.NUM_PER_STRATUM", 2)
        yield


@given(rows(), st.randoms(use_true_random=False), st.integers(1, 6))
def test_parts_in_any_order_merge_into_the_tally_of_the_whole(
    rows: list[dict[str, Any]], random: Any, num_parts: int
) -> None:
    parts: list[list[dict[str, Any]]] = [[] for _ in range(num_parts)]
    for row in random.sample(rows, len(rows)):
        random.choice(parts).append(row)
    tallies = [tally_of(part) for part in parts]
    whole = as_text(tally_of(rows))
    assert as_text(merged(tallies)) == whole
    half = num_parts // 2  # in two steps, as a tree would
    assert as_text(merged([merged(tallies[half:]), merged(tallies[:half])])) == whole


@given(rows())
def test_what_is_held_beyond_the_bound_is_exact(rows: list[dict[str, Any]]) -> None:
    kept: dict[tuple[str, ...], int] = {}
    for row in rows:
        slots = [slot for slot, texts in row["values"] if texts]
        names = (*row["attributes"], *slots)
        kept[names] = kept.get(names, 0) + sum(c["kept"] for c in row["candidates"])
    assert dict(tally_of(rows).combinations) == dict(sorted(kept.items())[:3])


@given(rows())
def test_a_sampled_candidate_survives_json(rows: list[dict[str, Any]]) -> None:
    for row in tally_of(rows, sample_size=100).sample.rows():
        again = SampledCandidate.from_json(json.loads(json.dumps(row.as_json(), allow_nan=False)))
        # NaN equals nothing, itself included; its repr does.
        assert repr(again) == repr(row)


def test_tallies_of_other_samples_are_not_mixed() -> None:
    with pytest.raises(AssertionError):
        Tally(SAMPLE_SIZE, seed=3).merge(Tally(SAMPLE_SIZE, seed=4).state())


def relabelled(id: int, given: Sequence[tuple[str | None, bool]]) -> dict[str, Any]:
    """A unit that asks for refund; of each candidate what the LM says, and if that counts."""
    mix = Mix("cancel", 0.75, ("cancel", "refund"))
    unit = Unit(id, 0, "promptmix", "s", Constraint(("refund",), {}, "d"), (), len(given), 0, mix)
    made = [
        replace(_candidate(id, k, None, 0.1, "x"), relabelled=label, replaced=replaced)
        for k, (label, replaced) in enumerate(given)
    ]
    return unit_row(unit, made)


def test_agreement_and_confusion_are_counted_and_a_new_label_counts_for_itself() -> None:
    rows = [
        relabelled(0, [("refund", False), ("cancel", True), ("cancel", True), (None, False)]),
        relabelled(1, [("greet", False), ("refund", False)]),
    ]
    tally = tally_of(rows, sample_size=100)
    whole = merged([tally_of(rows[:1]), tally_of(rows[1:])])
    for found in (tally, whole):
        assert (found.counts["relabelled"], found.counts["agreed"]) == (5, 2)
        assert found.relabels == {
            ("refund", "cancel"): 2,
            ("refund", "greet"): 1,
            ("refund", "refund"): 2,
        }
        assert found.attributes == {"refund": 4, "cancel": 2}
        assert found.combinations == {("cancel",): 2, ("refund",): 4}
    assert {(row.mix, row.relabelled) for row in tally.sample.rows()} == {
        (("cancel", 0.75), given) for given in ("refund", "cancel", "greet", None)
    }


def test_the_tally_of_a_run_of_an_earlier_version_still_reads() -> None:
    state = tally_of([_row(0, ["refund"], (), [(None, 0.1, "x")])]).state()
    del state["relabels"]
    for row in state["sample"]:
        del row["mix"], row["relabelled"]
    whole = Tally(SAMPLE_SIZE, seed=3)
    whole.merge(state)
    assert not whole.relabels and whole.sample.rows()[0].mix is None
