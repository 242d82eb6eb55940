"""Which texts of a whole run say the same, found without comparing every two of them.

Texts that may be alike share a key, so only those with a common key are
compared, and keys can be spread over a cluster. The rule is about pairs and
ids alone: a text goes where a text with a lower id is alike. It therefore
does not depend on any order of work, and no two texts that stay are alike.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from msp.config import DenoiseConfig
from msp.denoise.rules import normalise

Keys = npt.NDArray[np.uint64]
Alike = Callable[[bytes, bytes], bool]

# MinHash in bands: two texts of Jaccard 0.8 share one of 16 bands of 4 with probability
# 0.9998, and texts of Jaccard 0.4 with 0.34; what shares a band is compared exactly.
_BANDS, _ROWS = 16, 4
_PRIME = np.uint64((1 << 61) - 1)
# Random hyperplanes in bands: vectors of cosine 0.9 share one of 32 bands of 12 with 0.996.
_PLANE_BANDS, _PLANES = 32, 12


class TextVectors(Protocol):
    """What turns texts into vectors of length 1."""

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
        """Return [N, D], one vector per text."""
        ...


@dataclass(frozen=True, slots=True)
class Keyed:
    """Texts as duplicates are looked for.

    Args:
        keys: [N, K]; texts that may be alike share a key in some column.
        payloads: N, what two texts are compared by.
    """

    keys: Keys
    payloads: list[bytes]


class Likeness:
    """One way in which two texts can be alike: their keys, and the comparison.

    Args:
        config: ``duplicates``, ``duplicate_threshold`` and ``duplicate_cosine``.
        encoder: where given, texts are alike by the cosine of its vectors instead.
    """

    def __init__(self, config: DenoiseConfig, encoder: TextVectors | None = None) -> None:
        self._config = config
        self._encoder = encoder
        rng = np.random.Generator(np.random.Philox(key=20_231_206))
        shape = (_BANDS * _ROWS, 1)
        self._scales = rng.integers(1, int(_PRIME), shape, dtype=np.uint64)
        self._shifts = rng.integers(0, int(_PRIME), shape, dtype=np.uint64)

    def keyed(self, texts: Sequence[str]) -> Keyed:
        """Return the keys and payloads of texts."""
        if self._encoder is not None:
            vectors = self._encoder.encode(list(texts)).astype(np.float32)
            return Keyed(self._plane_keys(vectors), [vector.tobytes() for vector in vectors])
        exact = self._config.duplicates == "exact"
        said = [text if exact else normalise(text) for text in texts]
        payloads = [text.encode("utf-8", "surrogatepass") for text in said]
        if self._config.duplicates == "minhash":
            return Keyed(self._minhash_keys(said), payloads)
        return Keyed(np.array([[_hash(text)] for text in payloads], dtype=np.uint64), payloads)

    def alike(self, one: bytes, other: bytes) -> bool:
        """Say whether two texts' payloads are alike."""
        if one == other or self._config.duplicates != "minhash":
            return one == other
        return jaccard(one, other) >= self._config.duplicate_threshold

    def cosine_alike(self, one: bytes, other: bytes) -> bool:
        """Say whether two vectors' payloads are alike."""
        limit = self._config.duplicate_cosine
        cosine = np.frombuffer(one, np.float32) @ np.frombuffer(other, np.float32)
        return limit is not None and float(cosine) >= limit

    def _minhash_keys(self, texts: Sequence[str]) -> Keys:
        """Return [N, 16] keys: for each band a hash of its four smallest-hash values."""
        pieces = [_shingles(text) for text in texts]
        sizes = np.array([len(piece) for piece in pieces])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        values = np.array([value for piece in pieces for value in piece], dtype=np.uint64)
        # Wrapping multiplication mixes well enough here: the values are hashes already.
        mixed = (values[None, :] * self._scales + self._shifts) % _PRIME
        smallest = np.minimum.reduceat(mixed, starts, axis=1)
        return _fold(smallest.T.reshape(len(texts), _BANDS, _ROWS))

    def _plane_keys(self, vectors: npt.NDArray[np.float32]) -> Keys:
        """Return [N, 32] keys: for each band the sides of twelve planes that a vector lies on."""
        rng = np.random.Generator(np.random.Philox(key=6))
        planes = rng.standard_normal((vectors.shape[1], _PLANE_BANDS * _PLANES), dtype=np.float32)
        sides = (vectors @ planes > 0).reshape(len(vectors), _PLANE_BANDS, _PLANES)
        return _fold(sides.astype(np.uint64))


def jaccard(one: bytes, other: bytes) -> float:
    """Return the share of words and word pairs that two texts have in common, 0 to 1."""
    a, b = (set(_shingles(payload.decode("utf-8", "surrogatepass"))) for payload in (one, other))
    return len(a & b) / len(a | b)


def find_duplicates(
    keys: Keys, ids: npt.NDArray[np.int64], payloads: Sequence[bytes], *, alike: Alike
) -> dict[int, int]:
    """Return the id of every text that goes -> the lowest id that it is seen to be alike.

    Args:
        keys: [M], one row for each key of each text, in any order.
        ids: [M], of the texts.
        payloads: M, of the texts.
        alike: says whether two payloads are alike; symmetric.
    """
    order = np.lexsort((ids, keys))
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    gone: dict[int, int] = {}
    for rows in np.split(order, cuts):
        if len(rows) > 1:
            _compare([(int(ids[row]), payloads[row]) for row in rows], alike, gone)
    return gone


def _compare(texts: list[tuple[int, bytes]], alike: Alike, gone: dict[int, int]) -> None:
    """Add what goes among texts with one key, sorted by id.

    Equal payloads are seen at once, and a search ends at its first hit, so a
    heap of near copies costs little more than its size.
    """
    first: dict[bytes, int] = {}
    distinct: list[tuple[int, bytes]] = []
    for text_id, payload in texts:
        of = first.get(payload)
        if of is None:
            of = next((lower for lower, other in distinct if alike(other, payload)), None)
            first[payload] = text_id
            distinct.append((text_id, payload))
        if of is not None and of != text_id:
            gone[text_id] = min(gone.get(text_id, of), of)


def _shingles(text: str) -> list[int]:
    """Return hashes of the words and of the pairs of neighbouring words, each once."""
    words = text.split() or [""]
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    return list({_hash(piece.encode("utf-8", "surrogatepass")): None for piece in words + pairs})


def _hash(payload: bytes) -> int:
    """Return 64 bits that are the same in every process."""
    return zlib.crc32(payload) << 32 | zlib.adler32(payload[::-1])


def _fold(values: Keys) -> Keys:
    """Return [N, B] keys from [N, B, R] values: one hash of each row of R, and of its band."""
    key = np.broadcast_to(np.arange(values.shape[1], dtype=np.uint64), values.shape[:2]).copy()
    for column in range(values.shape[2]):
        key = (key ^ values[:, :, column]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
