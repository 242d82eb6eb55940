"""The judge of a run, put together: encoder, seed examples and the classifier of these."""

from __future__ import annotations

from msp.config import RunConfig
from msp.denoise.scorer import UnitScorer
from msp.models.encoder import load_encoder
from msp.students.labeller import SeedLabeller
from msp.tasks.base import TaskData


def make_scorer(config: RunConfig, task: TaskData) -> UnitScorer:
    """Return what gives every candidate of the run its verdict.

    Raises:
        CheckpointError: the encoder is not there.
    """
    encoder = load_encoder(config.denoise.encoder)
    if not config.denoise.disagreement_weight:
        return UnitScorer(config.denoise, encoder, task.seeds)
    labels = [attribute.name for attribute in task.ontology.attributes]
    labeller = SeedLabeller(task.seeds, labels, encoder, seed=config.seed)
    return UnitScorer(config.denoise, encoder, task.seeds, labeller=labeller)
