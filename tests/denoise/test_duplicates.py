"""Near-duplicates are those that a comparison of all pairs would find, in whatever order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import DenoiseConfig
from msp.denoise.duplicates import Likeness, find_duplicates, jaccard

LONG = "could you please tell me when the swimming pool opens tomorrow morning"
NEAR = "could you please tell me when the swimming pool opens tomorrow morning then"


def gone(texts: list[str], order: list[int] | None = None, **settings: object) -> dict[int, int]:
    likeness = Likeness(DenoiseConfig.model_validate(settings))
    ids = list(range(len(texts))) if order is None else order
    keyed = likeness.keyed([texts[i] for i in ids])
    num_keys = keyed.keys.shape[1]
    rows = np.repeat(np.arange(len(ids)), num_keys)
    return find_duplicates(
        keyed.keys.reshape(-1),
        np.array(ids, dtype=np.int64)[rows],
        [keyed.payloads[row] for row in rows],
        alike=likeness.alike,
    )


@pytest.mark.parametrize(
    ("kind", "goes"),
    [("exact", {4}), ("normalised", {1, 4}), ("minhash", {1, 2, 4})],
)
def test_each_kind_drops_what_it_says(kind: str, goes: set[int]) -> None:
    texts = [LONG, LONG.upper() + "!", NEAR, "is the gym open", LONG]
    assert set(gone(texts, duplicates=kind)) == goes


def test_the_lowest_id_stays() -> None:
    assert gone(["b", "a", "a", "a"], duplicates="exact") == {2: 1, 3: 1}


def test_another_value_makes_another_text() -> None:
    assert not gone(["a table for two at seven please", "a table for six at nine please"])


def test_an_empty_text_and_a_lone_surrogate_are_texts_like_others() -> None:
    assert set(gone(["", "", "\ud800", "x"])) == {1}


words = st.sampled_from("please tell me when the pool opens".split())
sentences = st.lists(words, min_size=1, max_size=9).map(" ".join)


@given(st.lists(sentences, max_size=25), st.randoms())
def test_the_result_depends_on_no_order(texts: list[str], random: object) -> None:
    shuffled = list(range(len(texts)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    if texts:
        assert gone(texts, shuffled) == gone(texts)


@given(st.lists(sentences, min_size=1, max_size=25))
def test_what_stays_has_no_near_copy_and_what_goes_had_one_before_it(texts: list[str]) -> None:
    removed = gone(texts, duplicate_threshold=0.8)
    payloads = [text.encode() for text in texts]
    stays = [i for i in range(len(texts)) if i not in removed]
    for i in stays:
        # MinHash misses a pair just at the threshold once in some thousand times.
        assert all(jaccard(payloads[i], payloads[j]) < 0.9 for j in stays if j < i)
    for one, of in removed.items():
        assert of < one and jaccard(payloads[one], payloads[of]) >= 0.8


class Directions:
    """An encoder whose vectors lie in a plane, at the angle that the text names in degrees."""

    def encode(self, texts: list[str], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_by_cosine_what_points_the_same_way_goes() -> None:
    config = DenoiseConfig(duplicate_cosine=0.95)
    likeness = Likeness(config, Directions())
    keyed = likeness.keyed(["0", "10", "90", "95"])
    rows = np.repeat(np.arange(4), keyed.keys.shape[1])
    found = find_duplicates(
        keyed.keys.reshape(-1),
        rows.astype(np.int64),
        [keyed.payloads[row] for row in rows],
        alike=Likeness(config).cosine_alike,
    )
    assert found == {1: 0, 3: 2}
