"""LLM Data Creation's plan: requests, each formatted by one example, and the way to the first.

A whole set grows from one formatting example (arXiv 2310.20111, section 3). What a
round asks for is in its record, made by :mod:`msp.methods.growth` of what the rounds
before accepted; here a record becomes units.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.engines.scripted_choice import WordVectors
from msp.engines.scripted_questions import ScriptedQuestions
from msp.errors import ConfigError, ConstraintError, TaskDataError
from msp.methods.balance import Cell, targets
from msp.methods.base import Opening, candidate_stream, unit_rng
from msp.methods.growth import Encode, GrownRounds
from msp.methods.lm_writers import frozen_lm
from msp.methods.rounds import RoundPlan
from msp.methods.writing import ContextForm, UnitWriter
from msp.prompts.question_text import render_lines, render_request
from msp.records import Constraint, Example, Growth, Unit
from msp.tasks.base import QuestionForm, TaskData
from msp.tasks.questions import attributes_of, checked_question, ontology_of

if TYPE_CHECKING:
    from msp.models.encoder import SentenceEncoder

_SETTING = "generate.data_creation.example"


class DataCreationPlan:
    """The requests of one round.

    Args:
        config: the run's config; ``generate.data_creation`` and ``seed`` are read.
        task: the task's seed examples and the form of its questions.
        plan: the round's record.

    Raises:
        ConfigError: the formatting example is not of the task's form.
    """

    def __init__(self, config: RunConfig, task: TaskData, plan: RoundPlan) -> None:
        self.round, self.first_unit = plan.number, plan.first_unit
        self.num_units = len(plan.requests)
        self._config, self._requests = config, plan.requests
        self._domain = task.domain
        self._first = first_example(config, task)

    def unit(self, index: int) -> Unit:
        """Return the round's unit ``index``; see :class:`msp.methods.base.Plan`."""
        request, unit_id = self._requests[index], self.first_unit + index
        shown = self._first
        if request.parent is not None:
            uid = f"candidate {request.parent}"
            shown = Example(uid, request.text, request.cell, {}, self._domain, request.target)
        generate = self._config.generate
        return Unit(
            id=unit_id,
            round=self.round,
            method=generate.method,
            seed_uid=self._first.uid,
            constraint=Constraint(request.cell, {}, self._domain),
            exemplars=(shown,),
            num_candidates=generate.num_candidates_per_unit,
            random_seed=candidate_stream(self._config.seed, unit_id),
            growth=Growth(request.parent, request.depth, request.chain),
        )


def form_of(config: RunConfig, task: TaskData) -> QuestionForm:
    """Return what the task's questions are like.

    Raises:
        ConfigError: the task has none.
    """
    if task.questions is None:
        raise ConfigError(
            f"generate.method is {config.generate.method}, which writes questions with options, "
            f"but the examples of {config.task.name} have none ({task.kind}); use a task such as "
            "csqa or strategyqa, or another method."
        )
    return task.questions


def first_example(config: RunConfig, task: TaskData) -> Example:
    """Return the formatting example that a run begins with: the config's own, or a seed example.

    Raises:
        ConfigError: the config's own is not of the task's form.
    """
    form, own = form_of(config, task), config.generate.data_creation.example
    if own is None:
        place = int(unit_rng("formatting example", config.seed).integers(len(task.seeds)))
        return task.seeds[place]
    try:
        question = checked_question(own.model_dump(), form, _SETTING)
    except TaskDataError as error:
        raise ConfigError(str(error)) from error
    attributes = attributes_of(question, form)
    return Example(_SETTING, question.question, attributes, {}, task.domain, question.target)


def growth_targets(config: RunConfig, task: TaskData) -> dict[Cell, int]:
    """Return what is asked for -> how many of it: right answers where options are fixed.

    An answer that no seed example has counts as if one had it, so that one formatting
    example suffices for a set with all answers.

    Raises:
        ConfigError: ``generate.balance`` names what cannot be asked for.
    """
    form = form_of(config, task)
    names = [attribute.name for attribute in ontology_of(form).attributes]
    counts = {name: sum(name in seed.attributes for seed in task.seeds) for name in names}
    weights: dict[Cell, float] = {(name,): float(max(counts[name], 1)) for name in names}
    return targets(config.generate, weights, counts)


def grown_rounds(config: RunConfig, task: TaskData) -> GrownRounds:
    """Return what plans the rounds of a run; see :class:`msp.methods.growth.GrownRounds`.

    Raises:
        ConfigError: as :func:`first_example` and :func:`growth_targets`.
    """
    first = first_example(config, task)
    known = (first.attributes, first.text, first.target or "")
    return GrownRounds(config, growth_targets(config, task), known, encode=_encoder(config))


def _encoder(config: RunConfig) -> Encode:
    """Return what reads texts; the encoder is loaded where it is first asked."""

    @cache
    def opened() -> WordVectors | SentenceEncoder:
        if config.generate.engine == "scripted":
            return WordVectors()
        from msp.models.encoder import load_encoder

        return load_encoder(config.denoise.encoder, dtype=config.denoise.precision)

    return lambda texts: opened().encode(texts)


def created(opening: Opening) -> UnitWriter:
    """Return the writer of replies; the judge reads the questions in them."""
    config, task = opening.config, opening.task
    form = _context_form(config, task)
    if config.generate.engine != "scripted":
        return UnitWriter(config, task.ontology, lm=frozen_lm(opening), form=form)
    return UnitWriter(config, task.ontology, form=form, engine=ScriptedQuestions())


def _context_form(config: RunConfig, task: TaskData) -> ContextForm:
    form = form_of(config, task)
    if config.generate.data_creation.format == "json":
        return partial(render_request, form=form)
    return partial(render_lines, form=form, ontology=task.ontology)


def check_fits(config: RunConfig, task: TaskData) -> None:
    """Pass where a request with the first example fits the frozen LM.

    Raises:
        ConstraintError: it does not; every request would go without an example.
    """
    if config.generate.engine == "scripted":
        return
    from msp.models.lm_files import find_lm

    files, first = find_lm(config.model), first_example(config, task)
    reserved = config.generate.max_new_tokens
    plan = DataCreationPlan(config, task, grown_rounds(config, task).first())
    request = _context_form(config, task)(plan.unit(0), (first,))
    length = len(files.text_ids([request])[0])
    room = files.max_positions - (0 if files.is_encoder_decoder else reserved)
    if length > room:
        raise ConstraintError(
            f"the request with formatting example {first.uid} takes {length} positions, but "
            f"{config.model.name} has {room} beside generate.max_new_tokens {reserved}; give a "
            f"shorter one as {_SETTING}, or a model.name with a longer context."
        )
