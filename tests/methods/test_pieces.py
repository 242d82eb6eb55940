"""A text is cut where it may be changed, and nowhere inside a value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from msp.methods.pieces import cut, join

WORDS = st.text(alphabet='ab1.,?"-', min_size=1, max_size=5)
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_a_cut_text_is_put_together_again(text: str, values: list[str]) -> None:
    assert join(cut(text, values)) == " ".join(text.split())


@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_a_value_stands_in_one_piece_of_its_own(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    value = " ".join(words[start:end])
    pieces = cut(" ".join(words), [value])
    assert any(value in piece.core for piece in pieces if piece.kind == "value")
    assert all(piece.kind == "value" for piece in pieces if piece.core == value)


def test_marks_around_a_value_and_a_word_are_no_part_of_it() -> None:
    pieces = cut('Say "half past nine", or (later) ...', ["Half past nine"])
    assert [(p.core, p.kind) for p in pieces] == [
        ("Say", "word"), ("half past nine", "value"), ("or", "word"), ("later", "word"),
        ("...", "mark"),
    ]  # fmt: skip
    assert (pieces[1].opening, pieces[1].closing) == ('"', '",')


def test_a_value_is_not_found_inside_a_word_and_the_longer_one_wins() -> None:
    pieces = cut("from 16 pm to 6 pm on the 6 pm train", ["6 pm", "6 pm train"])
    assert [p.core for p in pieces if p.kind == "value"] == ["6 pm", "6 pm train"]
