"""Writers that need the frozen LM: with soft prompts before the text, or with the text alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.errors import CheckpointError
from msp.methods import forms
from msp.methods.base import Opening, Writer
from msp.methods.writing import ContextForm, UnitWriter
from msp.prompts.mixed_text import render_mix
from msp.prompts.question_text import with_lines
from msp.records import Constraint, Example, Generated, Unit
from msp.storage import layout
from msp.tasks.ontology import Ontology

if TYPE_CHECKING:
    from msp.methods.unit_vectors import UnitVectors
    from msp.models.frozen_lm import FrozenLM
    from msp.prompts.soft import SoftPrompts

_Form = Callable[[Constraint, Sequence[Example], Ontology], str]


def with_soft_prompts(opening: Opening) -> UnitWriter:
    """Return the writer of MSP: mixed soft prompts, then exemplars and one open line.

    Raises:
        CheckpointError: the run's prompts are not there, or are for another LM.
    """
    config, ontology = opening.config, opening.task.ontology
    if config.generate.engine == "scripted":
        return UnitWriter(config, ontology)
    opening = replace(opening, task=with_lines(opening.task))
    lm = frozen_lm(opening)
    soft = _prompts(opening, lm)
    return UnitWriter(config, ontology, lm=lm, soft=soft, vectors=_vectors(opening, soft))


def with_text_alone(opening: Opening) -> UnitWriter:
    """Return a writer that shows the same LM what MSP shows it, in words instead of soft prompts.

    It is the like-for-like rival of soft prompts: whatever they gain shows against it.
    """
    return _with_form(opening, forms.described)


def in_context(opening: Opening) -> Writer:
    """Return a writer that shows the same LM many exemplars and nothing else (MSP, section 4).

    With ``chain_of_thought`` each has a line of reasoning before its text (Wei et al., arXiv
    2201.11903); a candidate is what follows the LM's own, and empty where it comes to no end.
    """
    if opening.config.generate.in_context_style == "base":
        return _with_form(opening, forms.plain)
    return _AnswerWriter(_with_form(opening, forms.reasoned))


def mixed_in_words(opening: Opening) -> UnitWriter:
    """Return the writer of PromptMix: classes and shares are told in words (section 3.1)."""
    lm = None if opening.config.generate.engine == "scripted" else frozen_lm(opening)
    form = _mix_form(opening, in_words=True)
    return UnitWriter(opening.config, opening.task.ontology, lm=lm, form=form)


def mixed_softly(opening: Opening) -> UnitWriter:
    """Return a writer to which soft prompts tell classes and shares; see :func:`mixed_in_words`.

    Raises:
        CheckpointError: the run's prompts are not there, or are for another LM.
    """
    config, ontology = opening.config, opening.task.ontology
    form = _mix_form(opening, in_words=False)
    if config.generate.engine == "scripted":
        return UnitWriter(config, ontology, form=form)
    lm = frozen_lm(opening)
    return UnitWriter(config, ontology, lm=lm, soft=_prompts(opening, lm), form=form)


def _mix_form(opening: Opening, *, in_words: bool) -> ContextForm:
    config = opening.config
    return partial(
        render_mix,
        ontology=opening.task.ontology,
        prompts=config.prompts,
        described=config.generate.promptmix.variant != "one_class",
        in_words=in_words,
    )


def shots_planned(config: RunConfig) -> RunConfig:
    """Return the config with ``generate.num_shots`` exemplars, drawn from no fewer."""
    num_shots = config.generate.num_shots
    pool = max(config.prompts.exemplar_pool_size, num_shots)
    shown = {"num_exemplars": num_shots, "exemplar_pool_size": pool}
    return config.model_copy(update={"prompts": config.prompts.model_copy(update=shown)})


class _AnswerWriter:
    """Writes what another writer's texts come to after their reasoning."""

    def __init__(self, writer: UnitWriter) -> None:
        self._writer = writer

    def write(self, units: Sequence[Unit]) -> list[list[Generated]]:
        """Return texts as :class:`msp.methods.base.Writer` says; their reasoning's tokens count."""
        return [
            [replace(text, text=forms.answer(text.text)) for text in texts]
            for texts in self._writer.write(units)
        ]

    def take_counts(self) -> dict[str, int]:
        """Return what the other writer counted since this was last asked."""
        return self._writer.take_counts()


def _with_form(opening: Opening, form: _Form) -> UnitWriter:
    config, ontology = opening.config, opening.task.ontology
    lm = None if config.generate.engine == "scripted" else frozen_lm(opening)

    def context(unit: Unit, exemplars: Sequence[Example]) -> str:
        return form(unit.constraint, exemplars, ontology)

    return UnitWriter(config, ontology, lm=lm, form=context)


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
        config, task = opening.config, opening.task
        return initial_prompts(
            lm, task.ontology, config.prompts, seed=config.seed, examples=task.seeds
        )
    return load_prompts(opening.store, lm)
