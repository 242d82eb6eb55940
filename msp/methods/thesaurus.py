"""Words that mean nearly the same: out of WordNet's own files, or near in a model's embeddings."""

from __future__ import annotations

import hashlib
import math
import mmap
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from msp.errors import ConfigError

_PARTS = ("noun", "verb", "adj", "adv")
# WordNet's rules of detachment (its manual, morphy(7WN)): an ending, and what stands for it.
_ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
        ("men", "man"), ("ies", "y"),
    ),
    "verb": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip
_NUM_NEAREST = 5
# Nearer than this in MiniLM's embeddings are mostly synonyms and forms; below, words of a theme.
_LEAST_COSINE = 0.5
_SHARED_BY_FORMS = 0.6


class Thesaurus(Protocol):
    """Knows other words for a word."""

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Return words or phrases for a lower-case word, without itself, in a fixed order."""
        ...


class WordNet:
    """WordNet read from its database files, whose form ``wndb(5WN)`` documents.

    Synonyms are the members of every set of synonyms that the word's base forms are in, of
    any part of speech: so EDA's authors take them.

    Args:
        folder: with ``index.noun``, ``data.noun`` and likewise ``verb``, ``adj`` and ``adv``.

    Raises:
        ConfigError: one of them is not there.
    """

    def __init__(self, folder: Path) -> None:
        files = {name: _mapped(folder / name) for name in database_files()}
        self._index = {part: files[f"index.{part}"] for part in _PARTS}
        self._data = {part: files[f"data.{part}"] for part in _PARTS}
        self._irregular = {part: _irregular(folder / f"{part}.exc") for part in _PARTS}
        self.synonyms = cache(self._synonyms)

    def _synonyms(self, word: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for part in _PARTS:
            for form in self._base_forms(word, part):
                for offset in self._offsets(form, part):
                    found.update(dict.fromkeys(self._members(offset, part)))
        found.pop(word, None)
        return tuple(found)

    def _base_forms(self, word: str, part: str) -> list[str]:
        detached = [
            word.removesuffix(ending) + instead
            for ending, instead in _ENDINGS[part]
            if word.endswith(ending)
        ]
        return list(dict.fromkeys([word, *self._irregular[part].get(word, ()), *detached]))

    def _offsets(self, form: str, part: str) -> list[int]:
        """Return where the sets of a base form stand: the last ``synset_cnt`` fields of its line.

        The line is ``lemma pos synset_cnt p_cnt [symbol...] sense_cnt tagsense_cnt offset...``.
        """
        index = self._index[part]
        start = index.find(f"\n{form.replace(' ', '_')} ".encode())
        if start < 0:
            return []
        fields = index[start + 1 : index.find(b"\n", start + 1)].split()
        return [int(offset) for offset in fields[-int(fields[2]) :]]

    def _members(self, offset: int, part: str) -> list[str]:
        """Return the words of a set, of a line ``offset file type w_cnt word id word id ...``."""
        data = self._data[part]
        fields = data[offset : data.find(b"\n", offset)].decode().split()
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        # An adjective may carry where it stands, as in ``ready(p)``.
        return [word.partition("(")[0].replace("_", " ").lower() for word in words]


class EmbeddingThesaurus:
    """The nearest whole words in a table of word embeddings, by cosine, without a word's own forms.

    Args:
        words: row -> word, each lower-case and of letters alone.
        vectors: [N, D], their embeddings.
    """

    def __init__(self, words: Sequence[str], vectors: np.ndarray) -> None:
        self._words = list(words)
        self._rows = {word: row for row, word in enumerate(self._words)}
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        self.synonyms = cache(self._synonyms)

    def _synonyms(self, word: str) -> tuple[str, ...]:
        row = self._rows.get(word)
        if row is None:
            return ()
        cosines = self._vectors @ self._vectors[row]
        near = np.flatnonzero(cosines >= _LEAST_COSINE)
        ranked = near[np.argsort(-cosines[near], kind="stable")]
        others = (other for i in ranked.tolist() if not _is_form_of(other := self._words[i], word))
        return tuple(islice(others, _NUM_NEAREST))


def database_files() -> list[str]:
    """Return the names of the files that WordNet is read from."""
    return [f"{kind}.{part}" for part in _PARTS for kind in ("index", "data")]


def database_hash(folder: str) -> str:
    """Return the sha256 over WordNet's files.

    Raises:
        ConfigError: one of them is not there.
    """
    digest = hashlib.sha256()
    for name in database_files():
        digest.update(_mapped(Path(folder) / name))
    return digest.hexdigest()


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise ConfigError(
            f"generate.thesaurus: {path} cannot be read ({error}); name a folder of WordNet's "
            "database files, such as /usr/share/wordnet of Debian's package wordnet-base, or "
            "leave it out."
        ) from error


def _is_form_of(other: str, word: str) -> bool:
    """Say whether two words begin so much alike that they are forms of one, as ``want, wants``."""
    length = math.ceil(_SHARED_BY_FORMS * min(len(other), len(word)))
    return other[:length] == word[:length]


def _irregular(path: Path) -> dict[str, list[str]]:
    """Return irregular form -> base forms, of a file that may be missing."""
    if not path.is_file():
        return {}
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return {form.replace("_", " "): bases for form, *bases in lines}
