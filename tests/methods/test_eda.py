"""EDA changes a share of the words and never a value; a text follows from its unit alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_over import UNITS, opening_of, unit_of

from msp.denoise.rules import UnitTexts, has_missing_value, normalise_value
from msp.errors import ConfigError
from msp.methods.base import unit_rng
from msp.methods.eda import EDA, STOP_WORDS, open_eda, swap_words
from msp.methods.pieces import cut, join
from msp.methods.rewriting import RewritingWriter
from msp.methods.thesaurus import EmbeddingThesaurus


class Shouting:
    """A thesaurus in which every word has two synonyms."""

    def synonyms(self, word: str) -> tuple[str, ...]:
        return f"{word}a", f"{word} b"


def writer(alpha: float = 0.3) -> RewritingWriter:
    return RewritingWriter(EDA(Shouting(), alpha))


@given(
    st.lists(st.sampled_from(["Room", "the", "spa,", "cot", "fee?", "-", "now"]), max_size=9),
    st.lists(st.sampled_from(["half past nine", "3.5", "Ivy-Bar"]), max_size=3, unique=True),
    st.integers(0, 2**30),
)
def test_every_text_of_every_unit_keeps_every_value(
    words: list[str], values: list[str], unit_id: int
) -> None:
    places = unit_rng("places", unit_id).integers(0, len(words) + 1, len(values))
    for value, place in zip(values, places.tolist(), strict=True):
        words = [*words[:place], value, *words[place:]]
    (texts,) = writer().write([unit_of(" ".join(words), *values, unit_id=unit_id)])
    wanted = UnitTexts((), (), [normalise_value(value) for value in values])
    # Two values may stand next to each other and make a third; what was asked for is there.
    assert len(texts) == 5 and not any(has_missing_value(t.text, wanted) for t in texts)


def test_a_unit_has_the_same_different_texts_whatever_its_batch() -> None:
    together = writer().write(UNITS)
    assert [writer().write([unit])[0] for unit in UNITS] == together
    assert writer().write(UNITS[::-1])[::-1] == together
    for unit, texts in zip(UNITS[:2], together, strict=False):
        said = [text.text for text in texts]
        assert len({*said, unit.exemplars[-1].text}) == unit.num_candidates + 1


def test_a_synonym_has_the_case_of_its_word_and_stop_words_have_none() -> None:
    pieces = cut("The Spa is open", [])
    changed = EDA(Shouting(), 1.0).replace_synonyms(pieces, 9, unit_rng("x"))
    words = join(changed).split()
    assert words[0] == "The" and words[1].startswith("Spa") and "is" in words
    assert join(changed) != join(pieces) and "open" not in words[-1:]


def test_an_insertion_adds_synonyms_and_a_deletion_leaves_one_word() -> None:
    pieces = cut("spa open late", [])
    inserted = EDA(Shouting(), 0.1).insert_synonyms(pieces, 2, unit_rng("x"))
    assert len(inserted) == 5 and inserted[-1] == pieces[-1]
    assert len(EDA(Shouting(), 1.0).delete_words(pieces, 1, unit_rng("x"))) == 1


def test_a_swap_leaves_marks_and_moves_values_whole() -> None:
    pieces = cut("now at half past nine, sharp?", ["half past nine"])
    for draw in range(20):
        swapped = swap_words(pieces, 1, unit_rng("swap", draw))
        assert sorted(p.core for p in swapped) == sorted(p.core for p in pieces)
        assert [p.closing for p in swapped] == ["", "", ",", "?"]


def test_the_capital_of_a_sentence_stays_at_its_start() -> None:
    texts = writer().write([unit_of("Please move it to Rome for us", num_candidates=40)])[0]
    assert all(text.text[0].isupper() for text in texts)
    assert not any(" Please" in text.text for text in texts)


def test_near_words_are_found_by_cosine_and_far_ones_are_not() -> None:
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    thesaurus = EmbeddingThesaurus(["room", "suite", "train"], vectors)
    assert thesaurus.synonyms("room") == ("suite",)
    assert thesaurus.synonyms("train") == thesaurus.synonyms("unknown") == ()


def test_by_default_synonyms_are_near_in_the_encoders_embeddings(tmp_path: Path) -> None:
    eda = open_eda(opening_of(tmp_path, method="eda"))
    texts = [text.text for text in eda.write([unit_of("I want a bigger hotel", unit_id=4)])[0]]
    assert len({*texts}) == 5 and all(text for text in texts)
    assert not STOP_WORDS & {"want", "bigger", "hotel"}


def test_a_thesaurus_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generate\.thesaurus: .*index\.noun.*wordnet-base"):
        open_eda(opening_of(tmp_path, method="eda", thesaurus=str(tmp_path)))
