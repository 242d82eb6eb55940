"""Words that nobody asked for and that a label should stand over: a target would call them nothing.

An LM that is asked for one date likes to add another. The text is good and its
target is wrong, since only asked values are labelled; a tagger learns from it
that dates are nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msp.tasks.brackets import Node, read_brackets, words_in

# Once is chance: "am" of one "10 am" would make every "I am" a time.
_MIN_SEEN = 2


class _Count(NamedTuple):
    labelled: int = 0
    seen: int = 0

    def add(self, is_labelled: bool) -> _Count:
        return _Count(self.labelled + is_labelled, self.seen + 1)

    @property
    def is_mostly_labelled(self) -> bool:
        return 2 * self.labelled > self.seen


class LabelledWords:
    """Which words, and which forms of words, the seed examples label more often than not.

    Args:
        targets: the seed examples' bracketed targets.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        self._words: dict[str, _Count] = {}
        self._forms: dict[str, _Count] = {}
        for target in targets:
            for place, (word, is_labelled) in enumerate(_words(target)):
                for counts, key in ((self._words, word.casefold()), (self._forms, _form(word))):
                    # The first word of a sentence has a capital whatever it is.
                    if place or key != "capital":
                        counts[key] = counts.get(key, _Count()).add(is_labelled)

    def unasked(self, target: str) -> str | None:
        """Return the first word outside a target's labels that seed examples mostly label.

        A word that they hardly have is judged by its form: digits, a capital inside
        the sentence, or neither.
        """
        for place, (word, is_labelled) in enumerate(_words(target)):
            form = _form(word)
            known = self._words.get(word.casefold())
            if known is None or known.seen < _MIN_SEEN:
                known = self._forms.get(form) if place or form != "capital" else None
            if not is_labelled and known is not None and known.is_mostly_labelled:
                return word
        return None


def _words(target: str) -> Iterator[tuple[str, bool]]:
    """Yield each word with whether a label stands over it; a parse's root does not count."""
    forest = read_brackets(target)
    if len(forest) == 1 and isinstance(forest[0], Node) and forest[0].label.startswith("IN:"):
        forest = forest[0].children
    for part in forest:
        if isinstance(part, Node):
            yield from ((word, True) for word in words_in(part.children))
        else:
            yield part, False


def _form(word: str) -> str:
    if any(character.isdigit() for character in word):
        return "digit"
    return "capital" if word[:1].isupper() and word != "I" else "plain"
