"""MAUVE: how close the distribution of synthetic texts is to that of real ones.

Pillutla et al., "MAUVE: Measuring the Gap Between Neural Text and Human Text"
(arXiv 2102.01454). Both sets' embeddings are quantised together; the area
under the curve of what either distribution lacks of their mixtures is the
score: 1 where they cannot be told apart, towards 0 where they share nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

# The authors' own constants: section 3 and appendix C.
SCALE = 5.0
_EXPLAINED_VARIANCE = 0.9
_MAX_CLUSTERS = 500
_TEXTS_PER_CLUSTER = 10
_NUM_MIXTURES = 25
# Where k-means ends depends on where it starts; the mean over a few starts is steadier.
_NUM_QUANTISATIONS = 5
FEW_TEXTS = 1_000
"""Below this many texts of either kind the figure is noisy and too high."""


def mauve(real: Floats, synthetic: Floats, *, seed: int) -> float | None:
    """Return MAUVE of two sets of embeddings, 0 to 1.

    Args:
        real: [N, D], of texts that people wrote.
        synthetic: [M, D]; the larger set is cut to the size of the smaller.
        seed: of the cut and of k-means' starts.

    Returns:
        None where either set has fewer than 20 texts.
    """
    num = min(len(real), len(synthetic))
    if num < 2 * _TEXTS_PER_CLUSTER:
        return None
    rng = np.random.default_rng(seed)
    chosen = [rows[np.sort(rng.permutation(len(rows))[:num])] for rows in (real, synthetic)]
    points = _points(np.concatenate(chosen).astype(np.float64))
    return float(np.mean([_once(points, seed=seed + n) for n in range(_NUM_QUANTISATIONS)]))


def _once(points: Floats, *, seed: int) -> float:
    """Return the score of one quantisation of the real and the synthetic points [2N, D]."""
    from sklearn.cluster import KMeans

    num = len(points) // 2
    size = max(2, min(_MAX_CLUSTERS, num // _TEXTS_PER_CLUSTER))
    clusters = KMeans(size, n_init=1, random_state=seed).fit_predict(points)
    p, q = (np.bincount(part, minlength=size) / num for part in np.split(clusters, 2))
    return _area(p, q)


def _points(vectors: Floats) -> Floats:
    """Return the vectors in the directions that hold nine tenths of their variance, length 1."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    reduced = PCA(svd_solver="full").fit(vectors)
    explained = np.cumsum(reduced.explained_variance_ratio_)
    width = int(np.searchsorted(explained, _EXPLAINED_VARIANCE)) + 1
    points: Floats = normalize(reduced.transform(vectors)[:, :width])
    return points


def _area(p: Floats, q: Floats) -> float:
    """Return the area under the divergence curve of two histograms [K] that sum to 1."""
    shares = np.linspace(1e-6, 1 - 1e-6, _NUM_MIXTURES)
    points = [(0.0, 1.0), (1.0, 0.0)]
    for share in shares:
        mixture = share * p + (1 - share) * q
        points.append((_closeness(q, mixture), _closeness(p, mixture)))
    points.sort(key=lambda point: (point[0], -point[1]))
    x, y = np.array(points).T
    return float(np.trapezoid(y, x))


def _closeness(p: Floats, mixture: Floats) -> float:
    """Return ``exp(-c KL(p, mixture))``."""
    known = p > 0
    return float(np.exp(-SCALE * np.sum(p[known] * np.log(p[known] / mixture[known]))))
