"""How much of the synthetic set is the seed examples, or the evaluation data, over again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from msp.denoise.contamination import EvaluationTexts
from msp.denoise.rules import normalise

Floats = npt.NDArray[np.floating[Any]]

_NEAR = 0.95


def memorisation(
    texts: Sequence[str],
    vectors: Floats,
    *,
    seeds: tuple[Sequence[str], Floats],
    evaluation: EvaluationTexts,
) -> dict[str, float]:
    """Return how near the texts are to the seed examples, and how many hold an evaluation text.

    Args:
        texts: M synthetic texts, at least one.
        vectors: [M, D], of length 1.
        seeds: the seed examples' texts and vectors [S, D].
        evaluation: the dev and test texts.

    Returns:
        nearest_seed_similarity (mean cosine to the nearest seed example), near_seed_share (of
        texts whose nearest has a cosine of 0.95 or more), copied_seed_share (but for case and
        punctuation) and evaluation_overlap_share (a whole text or 13 words in a row).
    """
    seed_texts, seed_vectors = seeds
    said = [normalise(text) for text in texts]
    known = {normalise(text) for text in seed_texts}
    nearest = (vectors @ seed_vectors.T).max(axis=1)
    return {
        "nearest_seed_similarity": float(nearest.mean()),
        "near_seed_share": float((nearest >= _NEAR).mean()),
        "copied_seed_share": sum(text in known for text in said) / len(said),
        "evaluation_overlap_share": sum(map(evaluation.contaminate, said)) / len(said),
    }
