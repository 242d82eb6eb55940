"""Rows of candidates/ and synthetic/: what was asked for, what a text is in the end, old files."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from msp.records import (
    CANDIDATE_TYPE,
    CANDIDATES_SCHEMA,
    SYNTHETIC_SCHEMA,
    Candidate,
    Constraint,
    Mix,
    Unit,
    as_of_today,
    example_from_synthetic,
    synthetic_table,
    unit_row,
)

MIXED = Mix("b", 0.75, ("c", "b", "a"))
NEW = ("mix", "relabelled", "replaced")


def candidate(number: int, reason: str | None = None, **more: Any) -> Candidate:
    text = f"text {number}"
    return Candidate(number, text, "", reason is None, reason, 0.1, 0.5, 0.5, 3, -1.0, **more)


def table(mix: Mix | None = MIXED) -> pa.Table:
    unit = Unit(0, 0, "promptmix", "s", Constraint(("a",), {"when": ("now",)}, "d"), (), 4, 0, mix)
    made = [
        candidate(0, relabelled="a"),
        candidate(1, relabelled="b", replaced=True),
        candidate(2, "disagreed", relabelled="c"),
        candidate(3, "empty"),
    ]
    other = Unit(1, 0, "msp", "s", Constraint(("a", "b"), {}, "d"), (), 1, 0)
    rows = [unit_row(unit, made), unit_row(other, [candidate(65536)])]
    return pa.Table.from_pylist(rows, schema=CANDIDATES_SCHEMA)


def of_an_earlier_version(units: pa.Table) -> pa.Table:
    fields = [field for field in CANDIDATE_TYPE if field.name not in NEW]
    schema = pa.schema(
        [
            pa.field("candidates", pa.list_(pa.struct(fields))) if f.name == "candidates" else f
            for f in CANDIDATES_SCHEMA
            if f.name not in NEW
        ]
    )
    rows = units.to_pylist()
    for row in rows:
        row["candidates"] = [
            {name: value for name, value in one.items() if name not in NEW}
            for one in row["candidates"]
        ]
    return pa.Table.from_pylist(rows, schema=schema)


def test_a_published_row_has_its_final_label_what_was_asked_and_the_mix() -> None:
    rows = synthetic_table(table()).to_pylist()
    assert [(r["attributes"], r["asked"], r["relabelled"], r["replaced"]) for r in rows] == [
        (["a"], ["a"], "a", False),
        (["b"], ["a"], "b", True),
        (["a", "b"], ["a", "b"], None, False),
    ]
    assert [r["mix"] for r in rows] == [{"attribute": "b", "alpha": 0.75}] * 2 + [None]
    assert example_from_synthetic(rows[1]).attributes == ("b",)


def test_what_a_reason_dropped_can_be_had_too() -> None:
    rows = synthetic_table(table(), and_dropped_as="disagreed").to_pylist()
    assert [row["candidate_id"] for row in rows] == [0, 1, 2, 65536]


def test_rows_of_an_earlier_version_have_nulls_for_what_it_did_not_know() -> None:
    old = of_an_earlier_version(table())
    today = as_of_today(old)
    assert today.schema == CANDIDATES_SCHEMA and as_of_today(today) is today
    expected = table(mix=None).to_pylist()
    for row in expected:
        for one in row["candidates"]:
            one |= {"relabelled": None, "replaced": None}
    assert today.to_pylist() == expected
    assert as_of_today(old.slice(1)).to_pylist() == expected[1:]
    published = synthetic_table(old)
    assert published.schema == SYNTHETIC_SCHEMA
    assert published["attributes"].to_pylist() == published["asked"].to_pylist()
