from __future__ import annotations

from typing import Any

import pytest

from msp.report.scores import (
    Score,
    compare_attributes,
    compare_headline,
    compare_others,
    growth,
    verdict,
)


def student(before: float, after: float, std: float | None = 0.5) -> dict[str, Any]:
    return {
        "seed_only": {"micro_f1": {"mean": before, "std": std}},
        "augmented": {"micro_f1": {"mean": after, "std": std}},
    }


def test_a_gain_beyond_the_spread_is_called_one() -> None:
    assert verdict(student(50.0, 53.9)) == (
        "better",
        "With the synthetic examples the student gains 3.9 points of micro-F1.",
    )


def test_what_each_part_gives_alone_is_told_beside_what_both_give() -> None:
    parts = {"label_texts": 51.5, "synthetic": 49.75}
    scores = student(50.0, 53.9) | {
        arm: {"micro_f1": {"mean": mean, "std": 0.5}} for arm, mean in parts.items()
    }
    assert verdict(scores)[1] == (
        "With the synthetic examples and the labels' own words the student gains 3.9 points of "
        "micro-F1. Synthetic examples alone give \u22120.2, the labels' own words and "
        "descriptions alone +1.5."
    )
    assert list(compare_headline(scores)[0].between) == ["With label texts", "With synthetic"]


def test_a_loss_is_told_as_plainly_as_a_gain() -> None:
    tone, sentence = verdict(student(53.9, 50.0))
    assert tone == "worse"
    assert "loses 3.9 points of micro-F1: here they did harm" in sentence


@pytest.mark.parametrize(("before", "after"), [(50.0, 50.6), (50.6, 50.0), (50.0, 50.0)])
def test_a_difference_within_the_spread_is_no_difference(before: float, after: float) -> None:
    tone, sentence = verdict(student(before, after))
    assert tone == "same"
    assert "No clear difference" in sentence


def test_without_a_spread_the_sign_decides() -> None:
    assert verdict(student(50.0, 50.1, std=None))[0] == "better"


def test_a_run_without_students_or_with_one_of_them_says_so() -> None:
    assert verdict({})[0] == "unknown"
    assert (
        "augmented student has not been scored"
        in verdict({"seed_only": {"micro_f1": {"mean": 1.0, "std": 0.0}}})[1]
    )


def test_nan_is_no_score() -> None:
    assert compare_headline(student(float("nan"), float("nan"))) == []


def test_attributes_are_sorted_by_gain_and_unscored_ones_come_last() -> None:
    scores = {
        "seed_only": {"per_attribute": {"a": 10.0, "b": 10.0, "c": 10.0}},
        "augmented": {"per_attribute": {"a": 5.0, "b": 20.0, "d": 1.0}},
    }
    assert [name for name, _ in compare_attributes(scores)] == ["b", "a", "c", "d"]


def test_further_metrics_of_the_task_are_kept_apart() -> None:
    scores = student(1.0, 2.0)
    scores["augmented"]["micro_precision"] = {"mean": 3.0, "std": 0.0}
    assert [row.title for row in compare_others(scores)] == ["Micro precision"]


def test_a_task_says_itself_what_it_is_judged_by() -> None:
    scores = {name: {"mean": 50.0, "std": 0.0} for name in ("entity_f1", "entity_recall")}
    of_task = {"headline": ["entity_f1"], "seed_only": scores, "augmented": scores}
    assert [row.title for row in compare_headline(of_task)] == ["Entity F1"]
    assert [row.title for row in compare_others(of_task)] == ["Entity recall"]
    assert "points of entity F1" in verdict(of_task)[1]


def test_where_the_lm_answers_itself_it_is_held_against_the_seed_only_student() -> None:
    scores = student(50.0, 58.0)
    scores["direct"] = scores.pop("augmented")
    tone, sentence = verdict(scores)
    assert (
        tone == "better" and "answers the task itself is 8.0 points of micro-F1 above" in sentence
    )
    assert compare_headline(scores)[0].augmented.mean == 58.0


def test_growth_goes_from_no_synthetic_example_to_all() -> None:
    found = student(50.0, 54.0)
    assert growth(found) == []
    found["augmented"]["num_synthetic"] = 600
    found["sizes"] = [{"num_synthetic": 100, "micro_f1": {"mean": 52.0, "std": 0.1}}, "broken"]
    assert growth(found) == [
        (0, Score(50.0, 0.5)),
        (100, Score(52.0, 0.1)),
        (600, Score(54.0, 0.5)),
    ]
