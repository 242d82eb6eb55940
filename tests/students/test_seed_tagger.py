"""Taggers of the seed examples find labels where they belong, and not where they do not."""

from __future__ import annotations

from itertools import product

import pytest

from msp.models.encoder import load_encoder
from msp.records import Attribute, Example
from msp.students.seed_tagger import SeedTagger, span_f1
from msp.tasks.base import TaskData
from msp.tasks.brackets import labels_in, read_brackets, words_in
from msp.tasks.ontology import Ontology

TARGETS = [
    f"a room for [nights {n} ] nights and [people {p} ] people"
    for n, p in product(("two", "three", "four"), repeat=2)
]


@pytest.fixture(scope="module")
def tagger() -> SeedTagger:
    found = [(target, read_brackets(target)) for target in TARGETS]
    ontology = Ontology((Attribute("nights", "nights"), Attribute("people", "people")))
    examples = tuple(
        Example(f"e{i}", " ".join(words_in(f)), ontology.order(labels_in(f)), {}, "d", target)
        for i, (target, f) in enumerate(found)
    )
    task = TaskData(
        ontology, "d", examples, (), examples, "", kind="tagging", tags=("nights", "people")
    )
    return SeedTagger(task, load_encoder("minilm", device="cpu"), seed=1)


def test_a_value_in_another_role_is_not_agreed_on(tagger: SeedTagger) -> None:
    right, swapped, half = tagger.agreement(
        [
            "a room for [nights five ] nights and [people six ] people",
            "a room for [people five ] nights and [nights six ] people",
            "a room for [nights five ] nights and [nights six ] people",
        ]
    )
    assert right > 0.9 and swapped < 0.1 and half == pytest.approx(0.5, abs=0.1)


def test_the_same_text_is_judged_the_same_alone_and_among_others(tagger: SeedTagger) -> None:
    together = tagger.agreement([*TARGETS, "nothing of it"])
    assert together[0] == tagger.agreement(TARGETS[:1])[0]
    assert tagger.agreement([]).shape == (0,)


@pytest.mark.parametrize(
    ("one", "other", "f1"),
    [
        ("[a x ] y", "[a x ] y", 1.0),
        ("[a x ] y", "[b x ] y", 0.0),
        ("[a x ] [b y ]", "[a x ] y", 2 / 3),
        ("[a [b x ] ] y", "[a x ] y", 2 / 3),
        ("x y", "x y", 1.0),
        ("x y", "[a x ] y", 0.0),
    ],
)
def test_f1_counts_labelled_spans_at_any_depth(one: str, other: str, f1: float) -> None:
    assert span_f1(read_brackets(one), read_brackets(other)) == pytest.approx(f1)
