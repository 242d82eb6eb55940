"""How varied a set of texts is: distinct-n, overlap within one constraint, duplicates.

Synthetic examples that repeat each other teach a student little, however many
there are. Everything is exact up to :data:`MAX_TEXTS` texts and measured on a
seeded uniform sample of that many above, so memory stays bounded.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

from msp.metrics.distinct import distinct_n, distinct_up_to, split_words

__all__ = ["distinct_n", "measure_diversity", "self_overlap", "split_words"]

MAX_TEXTS = 50_000
MAX_PAIRS = 2_000
NUM_MATCHED_DRAWS = 10

Labelled = tuple[tuple[str, ...], str]


def self_overlap(
    examples: Sequence[Labelled], *, seed: int, max_pairs: int = MAX_PAIRS
) -> float | None:
    """Return how alike texts are that were asked for the same attributes.

    The mean, over pairs of texts with equal attributes, of the Jaccard overlap
    of their word bigrams: 0 where no pair shares a bigram, 1 where all are the
    same. All pairs count where there are at most ``max_pairs``; otherwise
    that many are drawn uniformly, with replacement, by ``seed``.

    Returns:
        a share in [0, 1]; None where no two texts have the same attributes.
    """
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for attributes, text in examples:
        groups[attributes].append(text)
    pairs = [
        _jaccard(_bigrams(one), _bigrams(other))
        for one, other in _pairs(list(groups.values()), seed=seed, max_pairs=max_pairs)
    ]
    return sum(pairs) / len(pairs) if pairs else None


def _pairs(groups: list[list[str]], *, seed: int, max_pairs: int) -> Iterator[tuple[str, str]]:
    sizes = [len(group) * (len(group) - 1) // 2 for group in groups]
    if sum(sizes) <= max_pairs:
        for group in groups:
            yield from combinations(group, 2)
        return
    rng = random.Random(seed)
    for group in rng.choices(groups, weights=sizes, k=max_pairs):
        one, other = rng.sample(range(len(group)), 2)
        yield group[one], group[other]


def _bigrams(text: str) -> set[tuple[str, ...]]:
    found = split_words(text)
    # A text of one word has no bigram, and yet two such texts may be equal.
    return set(pairwise(found)) or {tuple(found)}


def _jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)


def measure_diversity(
    examples: Iterable[Labelled],
    *,
    seed: int,
    matched_size: int | None = None,
    max_texts: int = MAX_TEXTS,
) -> dict[str, float | int | None]:
    """Return every diversity figure of a stream of texts, holding at most ``max_texts`` of them.

    Args:
        examples: (attributes, text) of each text.
        seed: of the sample, of the pairs and of the matched draws.
        matched_size: also give distinct-n as the mean over seeded draws of
            this many texts, which compares fairly with a set of that size.
        max_texts: exact up to here; a uniform sample of this many above.

    Returns:
        num_texts (all that came), num_measured, num_duplicates (of the measured: texts that
        equal an earlier one but for case and spaces), mean_length in words, distinct_1 to
        distinct_3, self_overlap, matched_size and matched_distinct_1 to matched_distinct_3;
        None where a figure cannot be had.
    """
    measured, num_texts = _sample(examples, size=max_texts, seed=seed)
    texts = [text for _, text in measured]
    shares = distinct_up_to(texts, 3)
    matched = _matched_distinct(texts, matched_size, seed=seed)
    num_words = sum(len(split_words(text)) for text in texts)
    return {
        "num_texts": num_texts,
        "num_measured": len(texts),
        "num_duplicates": len(texts) - len({" ".join(t.casefold().split()) for t in texts}),
        "mean_length": num_words / len(texts) if texts else None,
        **{f"distinct_{n}": share for n, share in enumerate(shares, 1)},
        "self_overlap": self_overlap(measured, seed=seed),
        "matched_size": matched_size if matched else None,
        **{f"matched_distinct_{n}": share for n, share in enumerate(matched or [None] * 3, 1)},
    }


def _sample(examples: Iterable[Labelled], *, size: int, seed: int) -> tuple[list[Labelled], int]:
    """Return a uniform sample of the stream (algorithm R) and the stream's length."""
    rng = random.Random(seed)
    sample: list[Labelled] = []
    length = 0
    for example in examples:
        length += 1
        if len(sample) < size:
            sample.append(example)
        elif (place := rng.randrange(length)) < size:
            sample[place] = example
    return sample, length


def _matched_distinct(
    texts: list[str], size: int | None, *, seed: int
) -> list[float | None] | None:
    if not size or size > len(texts):
        return None
    rng = random.Random(seed)
    draws = [distinct_up_to(rng.sample(texts, size), 3) for _ in range(NUM_MATCHED_DRAWS)]
    return [_mean(column) for column in zip(*draws, strict=True)]


def _mean(shares: Iterable[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None
