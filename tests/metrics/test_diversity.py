from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.metrics.diversity import distinct_n, measure_diversity, self_overlap, split_words

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)


def brute_distinct(texts: list[str], n: int) -> float | None:
    grams = [tuple(w[i : i + n]) for t in texts for w in [t.split()] for i in range(len(w) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


@given(st.lists(WORDS, max_size=12), st.integers(1, 4))
def test_distinct_n_is_the_share_of_different_n_grams(texts: list[str], n: int) -> None:
    assert distinct_n(texts, n) == brute_distinct(texts, n)


def test_n_grams_do_not_cross_from_one_text_to_the_next() -> None:
    assert distinct_n(["a b", "b a", "b b"], 2) == 1.0
    assert distinct_n(["a", "b"], 2) is None


def test_words_ignore_case_and_punctuation_but_keep_apostrophes() -> None:
    assert split_words("Don't PANIC, caf\u00e9-owner! \U0001f600") == [
        "don't",
        "panic",
        "caf\u00e9",
        "owner",
    ]


def test_self_overlap_compares_only_texts_with_the_same_attributes() -> None:
    same = [(("x",), "we go home"), (("x",), "we go home"), (("y",), "we go home")]
    assert self_overlap(same, seed=0) == 1.0
    assert self_overlap([(("x",), "we go home"), (("x",), "you stay here")], seed=0) == 0.0
    assert self_overlap([(("x",), "we go home"), (("y",), "we go home")], seed=0) is None


def test_sampled_self_overlap_is_near_that_of_all_pairs() -> None:
    rng = random.Random(1)
    texts = [(("x",), " ".join(rng.choices("abc", k=4))) for _ in range(90)]
    every = self_overlap(texts, seed=0, max_pairs=10_000)
    drawn = self_overlap(texts, seed=0, max_pairs=2_000)
    assert drawn != every
    assert drawn == pytest.approx(every, abs=0.02)
    assert drawn == self_overlap(texts, seed=0, max_pairs=2_000)


def test_duplicates_are_counted_but_for_case_and_spaces() -> None:
    measured = measure_diversity([((), t) for t in ["Hi there", "hi  THERE", "hi you"]], seed=0)
    assert (measured["num_texts"], measured["num_duplicates"]) == (3, 1)
    assert measured["mean_length"] == 2.0


def test_no_texts_give_none_and_no_failure() -> None:
    measured = measure_diversity(iter([]), seed=0, matched_size=5)
    assert measured["num_texts"] == 0
    assert measured["distinct_1"] is None
    assert measured["self_overlap"] is None
    assert measured["matched_size"] is None


def test_a_stream_above_the_limit_is_measured_on_a_seeded_sample() -> None:
    stream = [((), f"text number {i}") for i in range(500)]
    measured = measure_diversity(iter(stream), seed=3, max_texts=100)
    assert (measured["num_texts"], measured["num_measured"]) == (500, 100)
    assert measured == measure_diversity(iter(stream), seed=3, max_texts=100)


def test_distinct_n_at_the_seed_sets_size_does_not_fall_with_more_texts() -> None:
    rng = random.Random(5)
    texts = [((), " ".join(rng.choices([f"w{i}" for i in range(40)], k=8))) for _ in range(1_000)]
    few = measure_diversity(texts[:50], seed=0, matched_size=50)
    many = measure_diversity(texts, seed=0, matched_size=50)
    assert many["distinct_2"] < few["distinct_2"] / 2
    assert many["matched_distinct_2"] == pytest.approx(few["matched_distinct_2"], abs=0.05)


def test_one_words_texts_overlap_only_where_they_are_equal() -> None:
    pairs = [(("x",), text) for text in ("yes", "yes", "no")]
    values = [self_overlap(list(pair), seed=0) for pair in pairwise(pairs)]
    assert values == [1.0, 0.0]
