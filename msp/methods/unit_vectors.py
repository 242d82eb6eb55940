"""Which embedding a unit's contextual prompt is computed from (SoftSRV, arXiv 2410.16534).

A tuned prompt writes its own seed example again at that example's embedding; a step
away from it, it writes something like it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from msp.config import RunConfig
from msp.methods.base import unit_rng
from msp.prompts.vectors import example_vectors
from msp.records import Example, Unit

# Of the way to the other example; beyond half of it, that one would be the nearer.
_LONGEST_STEP = 0.5


class UnitVectors:
    """Embeddings of the seed examples, and the points near them that units are written from.

    Args:
        config: the run's; ``generate.embeddings`` says which points.
        seeds: the seed examples; their embeddings are computed now, once.

    Raises:
        CheckpointError: the encoder is not there.
    """

    def __init__(self, config: RunConfig, seeds: Sequence[Example]) -> None:
        self._config = config
        self._seeds = {seed.uid: seed for seed in seeds}
        self._vectors = example_vectors(config.prompts, seeds)
        self.size = len(next(iter(self._vectors.values())))

    def of(self, units: Sequence[Unit]) -> Tensor:
        """Return [N, D] float32, each of length 1; a row follows from its unit alone.

        What asks for a new combination stands half way between two examples that have it
        together. Where nobody is there to go towards, ``interpolated`` is ``perturbed``.
        """
        return torch.stack([self._of(unit) for unit in units])

    def _of(self, unit: Unit) -> Tensor:
        own, generate = self._vectors[unit.seed_uid], self._config.generate
        rng = unit_rng("embedding", self._config.seed, unit.id)
        missing = {*unit.constraint.attributes} - {*self._seeds[unit.seed_uid].attributes}
        if generate.embeddings == "training" and not missing:
            return own
        others = self._others(unit, missing)
        if others and (missing or generate.embeddings == "interpolated"):
            other = self._vectors[others[int(rng.integers(len(others)))]]
            step = _LONGEST_STEP * (1.0 if missing else rng.random())
            return _unit_length((1 - step) * own + step * other)
        noise = torch.from_numpy(rng.standard_normal(self.size)).float()
        return _unit_length(own + generate.embedding_noise * _unit_length(noise))

    def _others(self, unit: Unit, missing: set[str]) -> list[str]:
        """Return whom the unit's own example may be brought together with, by uid.

        For a new combination, an example that carries what the own one lacks, the one that
        the context shows where there is one; else, any that carries nothing unasked.
        """
        if missing:
            shown = [e.uid for e in unit.exemplars[:-1] if missing <= {*e.attributes}]
            return shown or [u for u, seed in self._seeds.items() if missing <= {*seed.attributes}]
        asked = {*unit.constraint.attributes}
        return [
            uid
            for uid, seed in self._seeds.items()
            if uid != unit.seed_uid and seed.attributes and {*seed.attributes} <= asked
        ]


def _unit_length(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=0)
