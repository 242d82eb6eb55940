"""The sample task that ships with the library keeps the promises of its README."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "msp" / "tasks" / "samples" / "front_desk"
SPLIT_SIZES = {"seed": (160, 180), "dev": (60, 80), "test": (220, 260)}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    lines = (FOLDER / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def ontology() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "ontology.json").read_text(encoding="utf-8")))


def words_without_values(row: dict[str, Any]) -> str:
    """The text with each slot value replaced by its slot's name, without case and punctuation."""
    text = row["text"]
    named = [(value, slot) for slot, values in row["values"].items() for value in values]
    for value, slot in sorted(named, key=lambda pair: -len(pair[0])):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", f" {slot} ", text, flags=re.IGNORECASE)
    return " ".join(re.findall(r"\w+", text.lower()))


def counts_by_attribute(rows: list[dict[str, Any]], split: str) -> Counter[str]:
    return Counter(name for row in rows if row["split"] == split for name in row["attributes"])


def test_every_row_has_exactly_the_documented_fields(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert set(row) == {"text", "attributes", "values", "domain", "split"}
        assert row["text"] == " ".join(row["text"].split()) != ""


@pytest.mark.parametrize("split", SPLIT_SIZES)
def test_each_split_has_its_size(rows: list[dict[str, Any]], split: str) -> None:
    fewest, most = SPLIT_SIZES[split]
    assert fewest <= sum(row["split"] == split for row in rows) <= most


def test_the_readme_states_the_true_counts(rows: list[dict[str, Any]]) -> None:
    num = Counter(row["split"] for row in rows)
    stated = f"{len(rows)} rows: {num['seed']} seed, {num['dev']} dev, {num['test']} test"
    assert set(num) == set(SPLIT_SIZES)
    assert stated in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_rows_carry_two_to_four_attributes_and_at_most_a_tenth_a_single_one(
    rows: list[dict[str, Any]],
) -> None:
    sizes = Counter(len(row["attributes"]) for row in rows)
    assert set(sizes) <= {1, 2, 3, 4}
    assert sizes[1] <= len(rows) / 10


def test_rows_name_only_what_the_ontology_has_and_nothing_twice(
    rows: list[dict[str, Any]], ontology: dict[str, Any]
) -> None:
    for row in rows:
        assert set(row["attributes"]) <= set(ontology["attributes"]), row["text"]
        assert len(set(row["attributes"])) == len(row["attributes"]), row["text"]
        assert set(row["values"]) <= set(ontology["slots"]), row["text"]
        assert row["domain"] in ontology["domains"], row["text"]


def test_the_ontology_describes_every_name_once(ontology: dict[str, Any]) -> None:
    described = [*ontology["attributes"].items(), *ontology["slots"].items()]
    assert len(ontology["attributes"]) >= 12
    assert len({name for name, _ in described}) == len(described)
    assert all(len(entry["description"].split()) >= 4 for _, entry in described)


def test_every_attribute_occurs_often_enough_to_learn_and_to_measure(
    rows: list[dict[str, Any]], ontology: dict[str, Any]
) -> None:
    seed, test = counts_by_attribute(rows, "seed"), counts_by_attribute(rows, "test")
    for name in ontology["attributes"]:
        assert seed[name] >= 5, name
        assert test[name] >= 8, name


def test_the_seeds_are_skewed_and_the_test_set_less_so(rows: list[dict[str, Any]]) -> None:
    seed, test = counts_by_attribute(rows, "seed"), counts_by_attribute(rows, "test")
    assert max(seed.values()) >= 5 * min(seed.values())
    assert max(test.values()) <= 3 * min(test.values())


def test_every_slot_value_stands_in_its_text_as_whole_words(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for values in row["values"].values():
            assert values, row["text"]
            for value in values:
                pattern = rf"(?<!\w){re.escape(value.lower())}(?!\w)"
                assert re.search(pattern, row["text"].lower()), (value, row["text"])


def test_no_text_occurs_twice_even_with_other_slot_values(rows: list[dict[str, Any]]) -> None:
    counts = Counter(words_without_values(row) for row in rows)
    assert [words for words, count in counts.items() if count > 1] == []
    assert len({" ".join(re.findall(r"\w+", row["text"].lower())) for row in rows}) == len(rows)
