"""Writers that need the frozen LM: with soft prompts before the text, or with the text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msp.errors import CheckpointError
from msp.methods.base import Opening
from msp.methods.writing import UnitWriter
from msp.storage import layout

if TYPE_CHECKING:
    from msp.methods.unit_vectors import UnitVectors
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
    lm = _frozen_lm(opening)
    soft = _prompts(opening, lm)
    return UnitWriter(config, ontology, lm=lm, soft=soft, vectors=_vectors(opening, soft))


def with_text_alone(opening: Opening) -> UnitWriter:
    """Return a writer that shows the same LM exemplars and the open line, with the labels named.

    It is the like-for-like rival of soft prompts: whatever they gain shows against it.
    """
    config = opening.config
    prompts = config.prompts.model_copy(update={"attributes_in_text": True})
    config = config.model_copy(update={"prompts": prompts})
    lm = None if config.generate.engine == "scripted" else _frozen_lm(opening)
    return UnitWriter(config, opening.task.ontology, lm=lm)


def _frozen_lm(opening: Opening) -> FrozenLM:
    """Return the LM; its embeddings suffice for an engine that loads the rest itself."""
    from msp.models.embeddings import load_embeddings
    from msp.models.frozen_lm import load_frozen_lm

    load = load_embeddings if opening.config.generate.engine == "vllm" else load_frozen_lm
    return load(opening.config.model)


def _vectors(opening: Opening, soft: SoftPrompts) -> UnitVectors | None:
    """Return the units' embeddings, from the encoder that the prompts were tuned with."""
    if soft.contextual is None:
        return None
    from msp.methods.unit_vectors import UnitVectors

    vectors = UnitVectors(opening.config, opening.task.seeds)
    if vectors.size != soft.contextual.sizes.vector_size:
        raise CheckpointError(
            f"prompts at {opening.store.uri}/prompts were tuned for embeddings of "
            f"{soft.contextual.sizes.vector_size} numbers, but prompts.contextual_encoder "
            f"{opening.config.prompts.contextual_encoder!r} gives {vectors.size}; use the encoder "
            "they were tuned with, or tune again with another output_uri."
        )
    return vectors


def _prompts(opening: Opening, lm: FrozenLM) -> SoftPrompts:
    from msp.prompts.checkpoint import load_prompts
    from msp.prompts.initialisers import initial_prompts

    if opening.untuned and not opening.store.exists(layout.PROMPTS_JSON):
        config = opening.config
        return initial_prompts(lm, opening.task.ontology, config.prompts, seed=config.seed)
    return load_prompts(opening.store, lm)
