"""What of an LM's reply can be used: every whole question in it, and a reason for all the rest.

Replies break in every way that text can. Whatever stands between the objects is
passed by, an object that is broken costs itself and no other, and a reply costs a
bounded amount of work however long it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msp.prompts.question_text import BETWEEN, num_fields
from msp.tasks.base import QuestionForm
from msp.tasks.questions import ChoiceQuestion

# More than the longest published question with its context, a few times over.
MAX_REPLY_CHARS = 40_000
# Of what is broken, so much is kept for people to look at.
_MAX_SHOWN_CHARS = 500
_MAX_FIELD_CHARS = 8_000

NO_ITEM = "no_item"
NOT_JSON = "not_json"
CUT_OFF = "cut_off"
WRONG_FIELDS = "wrong_fields"
EMPTY_QUESTION = "empty_question"
WRONG_NUMBER_OF_OPTIONS = "wrong_number_of_options"
REPEATED_OPTION = "repeated_option"
CHANGED_OPTIONS = "changed_options"
LABEL_NOT_AN_OPTION = "label_not_an_option"
OTHER_LABEL = "other_label"
REPLY_TOO_LONG = "reply_too_long"

# Where an object with a key in quotes begins; prose has braces, too.
_START = re.compile(r'\{\s*"')
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply.

    Args:
        text: as it stands there, perhaps cut.
        found: the object that it is; None where it is none.
        reason: why it cannot be used, as far as that is known.
    """

    text: str
    found: Mapping[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """What cannot be used, and why."""

    text: str
    reason: str


def pieces_of(reply: str, *, max_items: int) -> list[Piece]:
    """Return the objects of a reply in their order, whole and broken ones; one piece at least.

    Args:
        reply: as the LM wrote it, with what its prompt had opened before it.
        max_items: objects that are read; what follows is one piece, ``reply_too_long``.
    """
    text = reply[:MAX_REPLY_CHARS]
    pieces: list[Piece] = []
    place = _START.search(text)
    while place and len(pieces) < max_items:
        piece, end = _piece_at(text, place.start())
        if piece is not None:
            pieces.append(piece)
        place = _START.search(text, end)
    if place or len(reply) > MAX_REPLY_CHARS:
        rest = text[place.start() :] if place else reply[MAX_REPLY_CHARS:][:_MAX_SHOWN_CHARS]
        pieces.append(Piece(_shown(rest), reason=REPLY_TOO_LONG))
    return pieces or [Piece(_shown(text), reason=NO_ITEM)]


def piece_of_line(reply: str, form: QuestionForm, asked: Sequence[str], *, is_cut: bool) -> Piece:
    """Return the one piece of a reply that is a line of fields.

    Args:
        reply: the line.
        form: what questions of the task are like; says which fields there are.
        asked: the labels of the request; of fixed options, the answer.
        is_cut: whether the LM stopped because it had no room left.
    """
    fields = [field.strip() for field in reply[:MAX_REPLY_CHARS].split(BETWEEN)]
    shown = _shown(reply)
    if not any(fields):
        return Piece(shown, reason=NO_ITEM)
    if is_cut or len(reply) > MAX_REPLY_CHARS:
        return Piece(shown, reason=CUT_OFF if is_cut else REPLY_TOO_LONG)
    if len(fields) != num_fields(form):
        return Piece(shown, reason=WRONG_FIELDS if form.options else WRONG_NUMBER_OF_OPTIONS)
    context = fields.pop(0) if form.has_context else None
    question, *answer = fields
    options, label = (answer[:-1], answer[-1]) if answer else (list(form.options), asked[0])
    found = {"context": context, "question": question, "options": options, "label": label}
    return Piece(shown, found)


def read_piece(piece: Piece, form: QuestionForm, asked: Sequence[str]) -> ChoiceQuestion | Broken:
    """Return the question that a piece is, or why it is none.

    Args:
        piece: of a reply.
        form: what questions of the task are like.
        asked: the labels of the request; of fixed options, the answer.
    """
    if piece.found is None or piece.reason is not None:
        return Broken(piece.text, piece.reason or NOT_JSON)
    question, context = piece.found.get("question"), piece.found.get("context")
    options, label = _words(piece.found.get("options")), _word(piece.found.get("label"))
    if not isinstance(question, str) or options is None or label is None:
        return Broken(piece.text, WRONG_FIELDS)
    if form.has_context != (isinstance(context, str) and bool(context.strip())):
        return Broken(piece.text, WRONG_FIELDS)
    if max(len(question), len(context or "")) > _MAX_FIELD_CHARS:
        return Broken(piece.text, REPLY_TOO_LONG)
    if not any(character.isalnum() for character in question):
        return Broken(piece.text, EMPTY_QUESTION)
    reason = _options_reason(options, label, form, asked)
    if reason is not None:
        return Broken(piece.text, reason)
    said = context.strip() if isinstance(context, str) and form.has_context else None
    read = ChoiceQuestion(question.strip(), said, options, label)
    # An escape may stand for half of a character pair, which no file can hold.
    halves = _SURROGATE.search(read.question + read.target)
    return Broken(piece.text, NOT_JSON) if halves else read


def _options_reason(
    options: tuple[str, ...], label: str, form: QuestionForm, asked: Sequence[str]
) -> str | None:
    if len(options) != form.num_options:
        return WRONG_NUMBER_OF_OPTIONS
    if form.options and options != form.options:
        return CHANGED_OPTIONS
    if len({option.casefold() for option in options}) < len(options):
        return REPEATED_OPTION
    if not all(options) or label not in options:
        return LABEL_NOT_AN_OPTION if all(options) else WRONG_FIELDS
    return OTHER_LABEL if form.options and label not in asked else None


def _piece_at(text: str, start: int) -> tuple[Piece | None, int]:
    """Return the piece that begins there and where it ends; None for what only holds others."""
    try:
        found, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        after = _START.search(text, start + 1)
        end = after.start() if after else len(text)
        whole = after is not None or "}" in text[start:]
        return Piece(_shown(text[start:end]), reason=NOT_JSON if whole else CUT_OFF), end
    if "question" not in found and (inner := _START.search(text, start + 1, end)):
        return None, inner.start()
    return Piece(_shown(text[start:end]), found), end


def _words(found: Any) -> tuple[str, ...] | None:
    words = [_word(option) for option in found] if isinstance(found, list) else [None]
    return None if None in words else tuple(word for word in words if word is not None)


def _word(found: Any) -> str | None:
    """Return a string in one line; true and false are words, too, and numbers as they stand."""
    if isinstance(found, dict | list) or found is None:
        return None
    return " ".join(str(found).split())[:_MAX_FIELD_CHARS]


def _shown(text: str) -> str:
    return text[:_MAX_SHOWN_CHARS]
