"""``clm``: the LM itself learns to write, from the seed examples and without soft prompts.

The conditional language model of MSP's comparison. It learns the very lines
that ``hard_prompt`` shows (labels, values and exemplars in words, then the
text), so labels condition it and the two differ by the learning alone. With
``generate.clm_weights: lora`` the LM stays frozen and an adapter of megabytes
is kept; ``all`` is the one place where an LM's own weights learn and are
stored, as large as the LM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msp.methods.base import Opening
from msp.methods.lm_writers import frozen_lm, naming_labels
from msp.methods.writing import UnitWriter

if TYPE_CHECKING:
    from msp.methods.lm_fit import LMFit
    from msp.prompts.encode import EncodedExample


def open_clm_fit(opening: Opening) -> LMFit:
    """Return the fit of an LM that goes on from each seed example's context with its text.

    Raises:
        TaskDataError: an example does not fit the LM's context.
    """
    from msp.methods.lm_fit import (
        LMFit,
        changed_weights,
        load_for_fit,
        text_objective,
        weights_rate,
    )
    from msp.prompts.encode import ExampleEncoder

    config, task = opening.config, opening.task
    lm = load_for_fit(config, weights=config.generate.clm_weights)
    prompts = naming_labels(config).prompts
    encoder = ExampleEncoder(lm.files, prompts, task.ontology, task.labelled, config.seed)

    def encode(epoch: int) -> list[EncodedExample]:
        return encoder.encode(task.labelled if epoch else task.dev, epoch=epoch)

    return LMFit(
        module=changed_weights(lm, config),
        learning_rate=weights_rate(config),
        objective=text_objective(lm, config),
        encode=encode,
        num_attributes=len(task.ontology.all),
        pad_id=encoder.pad_id,
    )


def with_changed_weights(opening: Opening) -> UnitWriter:
    """Return a writer with the LM as it has learned.

    Raises:
        CheckpointError: it has not learned yet, or another LM or other weights did.
    """
    config = naming_labels(opening.config)
    if config.generate.engine == "scripted":
        return UnitWriter(config, opening.task.ontology)
    from msp.methods.fit_store import fit_is_saved, load_fit
    from msp.methods.lm_fit import changed_weights

    lm = frozen_lm(opening)
    if fit_is_saved(opening.store) or not opening.untuned:
        load_fit(opening.store, changed_weights(lm, config), lm.files)
        lm.model.requires_grad_(False)
    return UnitWriter(config, opening.task.ontology, lm=lm)
