"""From planned units to raw texts: soft prompts and context are put together, the engine writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.engines import make_engine
from msp.engines.base import Engine, Request
from msp.errors import ConstraintError
from msp.prompts.text import tuned_context
from msp.records import Constraint, Example, Generated, Unit
from msp.tasks.ontology import Ontology

if TYPE_CHECKING:
    from torch import Tensor

    from msp.methods.unit_vectors import UnitVectors
    from msp.models.frozen_lm import FrozenLM
    from msp.prompts.soft import SoftPrompts

ContextForm = Callable[[Unit, Sequence[Example]], str]


class UnitWriter:
    """Writes the candidates of units with one engine, one frozen LM and one set of prompts.

    Args:
        config: the run's config; ``generate`` and ``prompts`` are read.
        ontology: its order is the order of the attribute prompts.
        lm: the frozen LM; its embeddings suffice for engine ``vllm``, which loads the rest
            itself; None for the scripted engine, which needs none.
        soft: the tuned prompts on the LM's device; None writes from the context alone.
        vectors: gives units their embeddings, where a part of the prompts is computed from one.
        form: the context of a unit with these exemplars; by default the one that soft
            prompts are tuned with.
        engine: what writes; None opens the one that ``generate.engine`` names.
        steer: constraint -> adapters and weights; see :class:`msp.engines.base.Request`.
    """

    def __init__(
        self,
        config: RunConfig,
        ontology: Ontology,
        *,
        lm: FrozenLM | None = None,
        soft: SoftPrompts | None = None,
        vectors: UnitVectors | None = None,
        form: ContextForm | None = None,
        engine: Engine | None = None,
        steer: Callable[[Constraint], tuple[tuple[int, float], ...]] = lambda _: (),
    ) -> None:
        self._config = config
        self._ontology = ontology
        self._lm = lm
        self._soft = soft
        self._vectors = vectors
        self._form = form or self._tuned_form
        self._engine = engine or make_engine(config.generate.engine, lm, config=config)
        self._steer = steer
        self._lock = threading.Lock()

    def write(self, units: Sequence[Unit]) -> list[list[Generated]]:
        """Return ``num_candidates`` raw texts for each unit, in the units' order.

        With engine ``vllm`` several threads may call it at once.

        Raises:
            ConstraintError: a unit does not fit the LM's context even without exemplars.
        """
        with self._lock:  # a tokenizer is not for two threads at once
            requests = self._requests(units)
        return self._engine.generate(requests, self._config.generate)

    def take_counts(self) -> dict[str, int]:
        """Return what the engine counted since this was last asked."""
        return self._engine.take_counts()

    def _requests(self, units: Sequence[Unit]) -> list[Request]:
        contexts = [self._context(unit) for unit in units]
        return [
            Request(
                unit_id=unit.id,
                context=context,
                soft=soft,
                num_candidates=unit.num_candidates,
                random_seed=unit.random_seed,
                values=tuple(v for found in unit.constraint.values.values() for v in found),
                steering=self._steer(unit.constraint),
            )
            for unit, context, soft in zip(
                units, contexts, self._mixed(units, contexts), strict=True
            )
        ]

    def _tuned_form(self, unit: Unit, exemplars: Sequence[Example]) -> str:
        return tuned_context(self._config.prompts, unit.constraint, exemplars, self._ontology)

    def _context(self, unit: Unit) -> str:
        if self._lm is None:
            return self._form(unit, unit.exemplars)
        from msp.prompts.encode import ExampleEncoder, longest_context

        prompts, num_soft = self._config.prompts, 0
        if self._soft is not None:
            encoder = ExampleEncoder(self._lm.files, prompts, self._ontology)
            num_soft = encoder.soft_length(unit.constraint)
        context = longest_context(
            self._lm.files,
            unit.exemplars,
            partial(self._form, unit),
            num_reserved=self._config.generate.max_new_tokens,
            num_soft=num_soft,
        )
        if context is None:
            lengths = ", prompts.instruction_length, prompts.attribute_length" if num_soft else ""
            raise ConstraintError(
                f"unit {unit.id} (seed example {unit.seed_uid}) needs more than the LM's "
                f"{self._lm.max_positions} positions even without exemplars; shorten its slot "
                f"values{lengths} or generate.max_new_tokens."
            )
        return context

    def _mixed(self, units: Sequence[Unit], contexts: Sequence[str]) -> list[Tensor | None]:
        if self._soft is None or self._lm is None:
            return [None] * len(units)
        from msp.prompts.soft import presence, shares, soft_prompts_for

        if self._config.generate.mixes:
            return list(self._soft.blended(shares(units, self._ontology).to(self._lm.device)))
        present = presence([unit.constraint for unit in units], self._ontology)
        vectors = self._vectors.of(units) if self._vectors is not None else None
        return list(soft_prompts_for(self._soft, self._lm, contexts, present, vectors))
