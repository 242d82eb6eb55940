"""Whether synthetic texts carry what they were asked for, by a judge that the generator never met.

The judge is a classifier of the held-out real examples (dev and test), so it
has seen neither the seed examples nor any synthetic text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


def presence_matrix(asked: Sequence[Sequence[str]], labels: Sequence[str]) -> Bools:
    """Return [N, A]: which of the labels each text was asked for; others are left out."""
    places = {label: place for place, label in enumerate(labels)}
    found = np.zeros((len(asked), len(labels)), dtype=np.bool_)
    for row, names in enumerate(asked):
        for name in names:
            if name in places:
                found[row, places[name]] = True
    return found


def attribute_f1(asked: Bools, found: Bools) -> float:
    """Return the micro-F1 in percent of what a judge finds against what was asked, [N, A] both."""
    both, either = int((asked & found).sum()), int(asked.sum() + found.sum())
    return 200.0 * both / either if either else 0.0


def decisions(probabilities: Floats, *, is_single: bool) -> Bools:
    """Return [N, A]: the one likeliest label, or all that are likelier than not."""
    if is_single:
        best = probabilities.argmax(axis=1)
        one: Bools = np.arange(probabilities.shape[1])[None] == best[:, None]
        return one
    found: Bools = probabilities >= 0.5
    return found
