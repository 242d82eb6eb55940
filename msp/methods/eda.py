"""Easy data augmentation: words of a seed example replaced, inserted, swapped or left out.

EDA (Wei and Zou, arXiv 1901.11196): each text is made by one of four operations, which changes
a share ``generate.eda_alpha`` of the words. The published form takes synonyms from WordNet
(``generate.thesaurus``); by default they are the nearest words in the embeddings of
``denoise.encoder``, for which nothing has to be installed. Unlike the published form, the
strings of slots stay whole, and case and punctuation stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msp.methods.base import Opening, unit_rng
from msp.methods.pieces import Piece, cut, join
from msp.methods.rewriting import Draft, RewritingWriter
from msp.methods.thesaurus import EmbeddingThesaurus, Thesaurus, WordNet
from msp.records import Generated

if TYPE_CHECKING:
    from msp.models.encoder import SentenceEncoder

# Words without a meaning of their own, which EDA neither replaces nor inserts synonyms of.
STOP_WORDS = frozenset(
    "a about after again all also am an and any are as at be because been before being both but "
    "by can cannot could did do does doing done down during each else few for from further had "
    "has have having he her here hers herself him himself his how i if in into is it its itself "
    "just may me might mine more most must my myself no nor not now of off on once only or other "
    "our ours ourselves out over own per please s same shall she should so some such t than that "
    "the their theirs them themselves then there these they this those through to too under until "
    "up upon us very was we were what when where which while who whom whose why will with would "
    "you your yours yourself yourselves".split()
)
_LEAST_LETTERS = 3
# The stop of ``a.m.`` ends none.
_SENTENCE_END = re.compile(r"(?<!\.\w)[.!?]\W*$")
_FIRST_PERSON = re.compile(r"I\b")

Operation = Callable[[list[Piece], int, np.random.Generator], list[Piece]]


def open_eda(opening: Opening) -> RewritingWriter:
    """Return the writer of EDA; it needs no LM.

    Raises:
        ConfigError: the thesaurus is not there.
        CheckpointError: nor is the encoder.
    """
    generate = opening.config.generate
    if generate.thesaurus is not None:
        return RewritingWriter(EDA(WordNet(Path(generate.thesaurus)), generate.eda_alpha))
    from msp.models.encoder import load_encoder

    encoder = load_encoder(opening.config.denoise.encoder, device="cpu")
    return RewritingWriter(EDA(embedding_thesaurus(encoder), generate.eda_alpha))


def embedding_thesaurus(encoder: SentenceEncoder) -> EmbeddingThesaurus:
    """Return a thesaurus of an encoder's whole words."""
    from msp.models.helper import whole_words

    found = {
        token: word for token, word in whole_words(encoder.tokenizer).items() if word.islower()
    }
    table = encoder.body.get_input_embeddings().weight.detach()  # type: ignore[operator]
    return EmbeddingThesaurus(list(found.values()), table[list(found)].float().numpy())


class EDA:
    """Makes texts over with one of the four operations each.

    Args:
        thesaurus: of lower-case words.
        alpha: share of the words that an operation changes, one at least; of deletion, the
            chance of each word.
    """

    def __init__(self, thesaurus: Thesaurus, alpha: float) -> None:
        self._thesaurus = thesaurus
        self._alpha = alpha
        self.operations: tuple[Operation, ...] = (
            self.replace_synonyms, self.insert_synonyms, swap_words, self.delete_words,
        )  # fmt: skip

    def rewrite(self, drafts: Sequence[Draft]) -> list[Generated]:
        """Return texts as :class:`msp.methods.rewriting.Rewriter` says; no token is generated."""
        return [Generated(self._made_over(draft), 0, 0.0) for draft in drafts]

    def take_counts(self) -> dict[str, int]:
        """Return nothing: there is nothing to count."""
        return {}

    def _made_over(self, draft: Draft) -> str:
        pieces = cut(draft.text, draft.values)
        rng = unit_rng("eda", draft.stream)
        operation = self.operations[int(rng.integers(len(self.operations)))]
        num_changes = max(1, int(self._alpha * len(pieces)))
        # A capital belongs to the start of a sentence, not to the word that stands there.
        has_capitals = bool(pieces) and pieces[0].core[:1].isupper()
        if has_capitals:
            pieces = _at_starts(pieces, _uncapitalised)
        changed = operation(pieces, num_changes, rng)
        return join(_at_starts(changed, _capitalised) if has_capitals else changed)

    def replace_synonyms(
        self, pieces: list[Piece], num_changes: int, rng: np.random.Generator
    ) -> list[Piece]:
        """Return the pieces with synonyms for so many words, each word everywhere it stands."""
        known = [word for word in _content_words(pieces) if self._synonyms(word)]
        for place in rng.permutation(len(known))[:num_changes].tolist():
            synonym = self._draw_synonym(known[place], rng)
            pieces = [
                replace(piece, core=_in_case_of(piece.core, synonym))
                if piece.kind == "word" and piece.core.lower() == known[place]
                else piece
                for piece in pieces
            ]
        return pieces

    def insert_synonyms(
        self, pieces: list[Piece], num_changes: int, rng: np.random.Generator
    ) -> list[Piece]:
        """Return the pieces with so many synonyms of words among them put before any piece."""
        known = [word for word in _content_words(pieces) if self._synonyms(word)]
        pieces = list(pieces)
        for _ in range(num_changes if known else 0):
            synonym = self._draw_synonym(known[int(rng.integers(len(known)))], rng)
            pieces.insert(int(rng.integers(len(pieces))), Piece("", synonym, "", "word"))
        return pieces

    def delete_words(
        self, pieces: list[Piece], num_changes: int, rng: np.random.Generator
    ) -> list[Piece]:
        """Return the pieces with each word left out by chance; one word stays."""
        stays = rng.random(len(pieces)) >= self._alpha
        kept = [p for p, keep in zip(pieces, stays, strict=True) if keep or p.kind != "word"]
        if not kept and pieces:
            kept = [pieces[int(rng.integers(len(pieces)))]]
        if kept and kept[-1].kind != "mark":
            kept[-1] = replace(kept[-1], closing=pieces[-1].closing)
        return kept

    def _synonyms(self, word: str) -> tuple[str, ...]:
        return self._thesaurus.synonyms(word)

    def _draw_synonym(self, word: str, rng: np.random.Generator) -> str:
        synonyms = self._synonyms(word)
        return synonyms[int(rng.integers(len(synonyms)))]


def swap_words(pieces: list[Piece], num_changes: int, rng: np.random.Generator) -> list[Piece]:
    """Return the pieces with two words or values in each other's place, so many times.

    Marks stay where they are, those around the two included.
    """
    movable = [place for place, piece in enumerate(pieces) if piece.kind != "mark"]
    pieces = list(pieces)
    for _ in range(num_changes if len(movable) > 1 else 0):
        a, b = (movable[i] for i in rng.permutation(len(movable))[:2].tolist())
        pieces[a], pieces[b] = pieces[a].holding(pieces[b]), pieces[b].holding(pieces[a])
    return pieces


def _content_words(pieces: Sequence[Piece]) -> list[str]:
    """Return the words that mean something, lower-case, each once, in the text's order."""
    words = (piece.core.lower() for piece in pieces if piece.kind == "word")
    return [
        word
        for word in dict.fromkeys(words)
        if len(word) >= _LEAST_LETTERS and word.isalpha() and word not in STOP_WORDS
    ]


def _at_starts(pieces: Sequence[Piece], recased: Callable[[str], str]) -> list[Piece]:
    """Return the pieces with the words that start a sentence in another case."""
    ends = [True, *(bool(_SENTENCE_END.search(join([piece]))) for piece in pieces)]
    return [
        replace(piece, core=recased(piece.core)) if starts and piece.kind == "word" else piece
        for piece, starts in zip(pieces, ends, strict=False)
    ]


def _uncapitalised(core: str) -> str:
    """Return a word with a small letter, unless it is one like ``TV`` or ``I'm``."""
    from_place = core[1:] == core[1:].lower() and not _FIRST_PERSON.match(core)
    return core[:1].lower() + core[1:] if from_place else core


def _capitalised(core: str) -> str:
    return core[:1].upper() + core[1:]


def _in_case_of(core: str, synonym: str) -> str:
    return _capitalised(synonym) if core[:1].isupper() else synonym
