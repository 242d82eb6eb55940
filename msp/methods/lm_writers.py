"""Writers that need the frozen LM: with soft prompts before the text, or with the text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.methods.base import Opening
from msp.methods.writing import UnitWriter
from msp.storage import layout

if TYPE_CHECKING:
    from msp.models.frozen_lm import FrozenLM
    from msp.prompts.soft import SoftPrompts


def with_soft_prompts(opening: Opening) -> UnitWriter:
    """Return the writer of MSP: mixed soft prompts, then exemplars and one open line.

    Raises:
        CheckpointError: the run's prompts are not there, or are for another LM.
    """
    config, ontology = opening.config, opening.task.ontology
    if config.generate.engine == "scripted":
        return UnitWriter(config, ontology)
    lm = frozen_lm(opening)
    return UnitWriter(config, ontology, lm=lm, soft=_prompts(opening, lm))


def with_text_alone(opening: Opening) -> UnitWriter:
    """Return a writer that shows the same LM exemplars and the open line, with the labels named.

    It is the like-for-like rival of soft prompts: whatever they gain shows against it.
    """
    config = naming_labels(opening.config)
    lm = None if config.generate.engine == "scripted" else frozen_lm(opening)
    return UnitWriter(config, opening.task.ontology, lm=lm)


def naming_labels(config: RunConfig) -> RunConfig:
    """Return the config with ``prompts.attributes_in_text`` on: text alone must say it all."""
    prompts = config.prompts.model_copy(update={"attributes_in_text": True})
    return config.model_copy(update={"prompts": prompts})


def frozen_lm(opening: Opening) -> FrozenLM:
    """Return the LM; its embeddings suffice for an engine that loads the rest itself."""
    from msp.models.embeddings import load_embeddings
    from msp.models.frozen_lm import load_frozen_lm

    load = load_embeddings if opening.config.generate.engine == "vllm" else load_frozen_lm
    return load(opening.config.model)


def _prompts(opening: Opening, lm: FrozenLM) -> SoftPrompts:
    from msp.prompts.checkpoint import load_prompts
    from msp.prompts.initialisers import initial_prompts

    if opening.untuned and not opening.store.exists(layout.PROMPTS_JSON):
        config = opening.config
        return initial_prompts(lm, opening.task.ontology, config.prompts, seed=config.seed)
    return load_prompts(opening.store, lm)
