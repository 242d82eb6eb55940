"""From planned units to raw texts: soft prompts and context are put together, the engine writes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.engines import make_engine
from msp.engines.base import Request
from msp.errors import ConstraintError
from msp.prompts.mixed_text import render_mix
from msp.prompts.text import render_context
from msp.records import Example, Generated, Unit
from msp.tasks.ontology import Ontology

if TYPE_CHECKING:
    from torch import Tensor

    from msp.models.frozen_lm import FrozenLM
    from msp.prompts.soft import SoftPrompts


class UnitWriter:
    """Writes the candidates of units with one engine, one frozen LM and one set of prompts.

    Args:
        config: the run's config; ``generate`` and ``prompts`` are read.
        ontology: its order is the order of the attribute prompts.
        lm: the frozen LM; its embeddings suffice for engine ``vllm``, which loads the rest
            itself; None for the scripted engine, which needs none.
        soft: the tuned prompts on the LM's device; None writes from the context alone.
    """

    def __init__(
        self,
        config: RunConfig,
        ontology: Ontology,
        *,
        lm: FrozenLM | None = None,
        soft: SoftPrompts | None = None,
    ) -> None:
        self._config = config
        self._ontology = ontology
        self._lm = lm
        self._soft = soft
        self._engine = make_engine(config.generate.engine, lm, config=config)
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
            )
            for unit, context, soft in zip(
                units, contexts, self._mixed(units, contexts), strict=True
            )
        ]

    def _context(self, unit: Unit) -> str:
        prompts, room = self._config.prompts, self._config.generate.max_new_tokens
        render = partial(self._render, unit)
        if self._lm is None:
            return render(unit.exemplars)
        from msp.prompts.encode import ExampleEncoder

        encoder = ExampleEncoder(self._lm.files, prompts, self._ontology)
        context = encoder.longest(
            render,
            unit.exemplars,
            soft_length=encoder.soft_length(unit.constraint),
            num_reserved=room,
        )
        if context is None:
            raise ConstraintError(
                f"unit {unit.id} (seed example {unit.seed_uid}) needs more than the LM's "
                f"{self._lm.max_positions} positions even without exemplars; shorten its slot "
                "values, prompts.instruction_length, prompts.attribute_length or "
                "generate.max_new_tokens."
            )
        return context

    def _render(self, unit: Unit, exemplars: Sequence[Example]) -> str:
        prompts, generate = self._config.prompts, self._config.generate
        if unit.mix is None:
            return render_context(
                unit.constraint,
                exemplars,
                self._ontology,
                attributes_in_text=prompts.attributes_in_text,
            )
        return render_mix(
            unit,
            exemplars,
            self._ontology,
            prompts=prompts,
            described=generate.promptmix.variant != "one_class",
            in_words=self._soft is None,
        )

    def _mixed(self, units: Sequence[Unit], contexts: Sequence[str]) -> list[Tensor | None]:
        if self._soft is None or self._lm is None:
            return [None] * len(units)
        from msp.prompts.soft import presence, shares, soft_prompts_for

        if self._config.generate.mixes:
            return list(self._soft.blended(shares(units, self._ontology).to(self._lm.device)))
        present = presence([unit.constraint for unit in units], self._ontology)
        return list(soft_prompts_for(self._soft, self._lm, contexts, present))
