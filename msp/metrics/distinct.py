"""Words and distinct-n: how much of a set of texts is said only once."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def split_words(text: str) -> list[str]:
    """Return the lower-cased words of a text; punctuation and symbols are no words."""
    return _WORD.findall(text.casefold())


def distinct_n(texts: Iterable[str], n: int) -> float | None:
    """Return the number of different word n-grams divided by the number of all n-grams.

    It falls as a set grows, so only sets of one size compare fairly
    (Li et al., 2016, introduced it for dialogue replies).

    Returns:
        a share in (0, 1]; None where no text has n words.
    """
    return distinct_up_to(texts, n)[n - 1]


def distinct_up_to(texts: Iterable[str], largest_n: int) -> list[float | None]:
    """Return distinct-1 to distinct-largest_n; exact, and no n-gram is held as a string.

    Each n-gram is numbered by the number of its first n-1 words and its last
    word, so that numbers stay small however large the vocabulary is.
    """
    tokens, owners, vocabulary_size = _number_words(texts)
    grams, starts = tokens.copy(), np.arange(len(tokens))
    shares: list[float | None] = []
    for n in range(1, largest_n + 1):
        if n > 1:
            starts = starts[starts + n - 1 < len(tokens)]
            starts = starts[owners[starts] == owners[starts + n - 1]]
            codes = grams[starts] * vocabulary_size + tokens[starts + n - 1]
            unique, numbers = np.unique(codes, return_inverse=True)
            grams[starts] = numbers
            num_unique = len(unique)
        else:
            num_unique = vocabulary_size
        shares.append(num_unique / len(starts) if len(starts) else None)
    return shares


def _number_words(texts: Iterable[str]) -> tuple[Numbers, Numbers, int]:
    """Return each token's word number, the number of the text it stands in, and how many words."""
    vocabulary: dict[str, int] = {}
    tokens, owners = array("q"), array("q")
    for owner, text in enumerate(texts):
        for word in split_words(text):
            tokens.append(vocabulary.setdefault(word, len(vocabulary)))
            owners.append(owner)
    return np.array(tokens, np.int64), np.array(owners, np.int64), len(vocabulary)
