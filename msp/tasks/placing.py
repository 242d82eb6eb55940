"""Where asked strings stand in a text, and what a generated text is labelled with.

A text is labelled only where the strings that were asked for occur in it; a
text in which one cannot be found, or only inside another, gets no target.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from msp.records import Constraint
from msp.tasks.brackets import (
    Forest,
    Node,
    Span,
    forest_of,
    read_brackets,
    spans_in,
    words_in,
    write_brackets,
)

# Marks that stand alone where they open or close a word, as corpora tokenise them; an
# apostrophe stays (``'s``), and so does the stop of ``p.m.`` and ``U.S.``.
_WORD = re.compile(
    r"""(?P<open>["(\[{\u201c\u2018]*)(?P<word>.*?)(?P<close>[.,!?;:")\]}\u2026\u201d\u2019]*)"""
)
_ABBREVIATION = re.compile(r"\w(?:\.\w+)+")


def split_words(text: str) -> list[str]:
    """Return the words of a text, opening and closing marks as words of their own.

    ``"go to St. Ives at 5:30 p.m."`` has eight: go, to, St, ., Ives, at, 5:30 and p.m.
    """
    words: list[str] = []
    for token in text.split():
        found = _WORD.fullmatch(token)
        assert found is not None
        opening, word, closing = found["open"], found["word"], found["close"]
        if closing.startswith(".") and _ABBREVIATION.fullmatch(word):
            word, closing = f"{word}.", closing[1:]
        words += [*opening, *([word] if word else []), *closing]
    return words


def occurrences(words: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return every place at which the wanted words stand in a row, case aside."""
    folded, sought = [_fold(word) for word in words], [_fold(word) for word in wanted]
    last = len(folded) - len(sought)
    if not sought:
        return []
    return [at for at in range(last + 1) if folded[at : at + len(sought)] == sought]


def tag_values(text: str, values: Mapping[str, Sequence[str]]) -> Forest | None:
    """Return the text with every occurrence of the values labelled, the longest value first.

    Args:
        text: any.
        values: label -> strings.

    Returns:
        None where a value does not occur outside a longer one.
    """
    words = split_words(text)
    wanted = [(label, split_words(value)) for label, found in values.items() for value in found]
    wanted.sort(key=lambda item: -len(item[1]))  # stable: the ontology's order decides ties
    taken = [False] * len(words)
    spans: list[Span] = []
    needed: dict[tuple[str, tuple[str, ...]], bool] = {}
    for label, sought in wanted:
        key = (label, tuple(map(_fold, sought)))
        for at in occurrences(words, sought):
            end = at + len(sought)
            if not any(taken[at:end]):
                taken[at:end] = [True] * len(sought)
                spans.append(Span(at, end, label))
                needed[key] = True
        needed.setdefault(key, False)
    return forest_of(words, spans) if all(needed.values()) else None


def tag_characters(text: str, spans: Sequence[tuple[int, int, str]]) -> Forest:
    """Return the text with the words that spans of characters touch labelled.

    Of two that share a word the longer one stands, then the earlier.

    Args:
        text: any.
        spans: (first character, one past the last, label), as data sets give them.
    """
    words = split_words(text)
    places: list[tuple[int, int]] = []
    at = 0
    for word in words:
        at = text.index(word, at)
        places.append((at, at + len(word)))
        at += len(word)
    taken = [False] * len(words)
    found: list[Span] = []
    for start, end, label in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        touched = [i for i, (first, last) in enumerate(places) if first < end and last > start]
        if touched and not any(taken[i] for i in touched):
            found.append(Span(touched[0], touched[-1] + 1, label))
            for i in touched:
                taken[i] = True
    return forest_of(words, found)


def fill_parse(text: str, template: Forest) -> Forest | None:
    """Return the template's parse with another text: every slot's words found in it, once each.

    Each labelled span directly below the root is looked for after the one before
    it, or else anywhere; what is inside it comes along, word for word.

    Args:
        text: a generated text.
        template: one root with words and labelled spans below it.

    Returns:
        None where a span has no words or cannot be found beside the others.
    """
    words = split_words(text)
    (root,) = template
    assert isinstance(root, Node)
    taken = [False] * len(words)
    spans: list[Span] = []
    after = 0
    for part in root.children:
        if isinstance(part, str):
            continue
        sought = words_in(part.children)
        free = [at for at in occurrences(words, sought) if not any(taken[at : at + len(sought)])]
        if not free:
            return None
        at = next((place for place in free if place >= after), free[0])
        after = at + len(sought)
        taken[at:after] = [True] * len(sought)
        spans += spans_in((part,), at)
    return (Node(root.label, forest_of(words, spans)),)


def target_of(constraint: Constraint, text: str, *, kind: str, labels: Sequence[str]) -> str | None:
    """Return the bracketed target of a generated text; None where it cannot be labelled.

    Args:
        constraint: what was asked for.
        text: the candidate.
        kind: ``tagging`` or ``parse``.
        labels: what a tagging student learns; one that is asked for without a string
            cannot be labelled.
    """
    if kind == "parse":
        template = read_brackets(constraint.target or "")
        forest = fill_parse(text, template) if len(template) == 1 else None
    else:
        values = {label: constraint.values.get(label, ()) for label in labels}
        asked = [label for label in constraint.attributes if label in values]
        forest = tag_values(text, values) if all(values[label] for label in asked) else None
    return None if forest is None else write_brackets(forest)


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()
