from __future__ import annotations

import pytest

from msp.report import wording


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (61, "1 min 01 s"),
        (7_500, "2 h 05 min"),
        (None, "\u2013"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, words: str) -> None:
    assert wording.duration(seconds).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 10_000, "0.1 %"),
        (1_999_999, 2_000_000, "99.9 %"),
        (1, 0, "\u2013"),
    ],
)
def test_nearly_nothing_is_not_zero_and_nearly_all_is_not_all(
    part: int, whole: int, words: str
) -> None:
    assert wording.percent(part, whole).replace("\u00a0", " ") == words


def test_marks_that_hide_or_turn_text_are_spelled_out_and_joiners_stay() -> None:
    assert wording.show_invisible("a\u202eb\u200bc\x00") == "a[U+202E]b[U+200B]c[U+0000]"
    family = "\U0001f469\u200d\U0001f467"
    assert wording.show_invisible(family) == family


def test_a_new_reason_is_shown_by_its_own_name() -> None:
    assert wording.reason_words("too_rude") == ("Too rude", "")


def test_credentials_go_from_every_uri_however_deep() -> None:
    tree = {"a": ["s3://key:secret@bucket/x", {"b": "https://host/u@x"}], "n": 3}
    assert wording.redact(tree) == {"a": ["s3://***@bucket/x", {"b": "https://host/u@x"}], "n": 3}
