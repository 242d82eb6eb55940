"""The scripted replies follow from unit and stream, and break in known ways."""

from __future__ import annotations

from collections import Counter

from msp.config import GenerateConfig
from msp.denoise.salvage import Broken, pieces_of, read_piece
from msp.engines.base import Request
from msp.engines.scripted_questions import ScriptedQuestions
from msp.tasks.base import QuestionForm

FORM = QuestionForm(5)
CONTEXT = (
    'Write more.\n[{"question": "a?", "options": ["1", "2", "3", "4", "5"], "label": "1"}, '
    '{"question": "'
)


def replies(start: int, num: int, max_new_tokens: int = 400) -> list[str]:
    request = Request(0, CONTEXT, None, num, start)
    sampling = GenerateConfig(max_new_tokens=max_new_tokens)
    (made,) = ScriptedQuestions().generate([request], sampling)
    return [one.text for one in made]


def test_a_reply_follows_from_its_stream_alone() -> None:
    assert replies(7, 5)[3] == replies(10, 1)[0]
    assert len(set(replies(0, 100))) == 100


def test_every_way_to_break_comes_up_and_most_questions_are_whole() -> None:
    found = [
        read_piece(piece, FORM, ())
        for reply in replies(0, 400)
        for piece in pieces_of('{"question": "' + reply, max_items=8)
    ]
    reasons = Counter(one.reason for one in found if isinstance(one, Broken))
    assert set(reasons) == {
        "cut_off",
        "not_json",
        "wrong_fields",
        "wrong_number_of_options",
        "label_not_an_option",
    }
    assert reasons.total() < 0.2 * len(found)


def test_a_reply_is_no_longer_than_its_tokens() -> None:
    assert max(map(len, replies(0, 20, max_new_tokens=10))) <= 40
