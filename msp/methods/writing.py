"""From planned units to raw texts: soft prompts and context are put together, the engine writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.engines import make_engine
from msp.engines.base import Request
from msp.errors import ConstraintError
from msp.prompts.text import render_context
from msp.records import Generated, Unit
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
        lm: the frozen LM; None for the scripted engine, which needs none.
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
        self._engine = make_engine(config.generate.engine, lm)

    def write(self, units: Sequence[Unit]) -> list[list[Generated]]:
        """Return ``num_candidates`` raw texts for each unit, in the units' order.

        Raises:
            ConstraintError: a unit does not fit the LM's context even without exemplars.
        """
        softs = self._mixed(units)
        requests = [self._request(unit, soft) for unit, soft in zip(units, softs, strict=True)]
        return self._engine.generate(requests, self._config.generate)

    def _request(self, unit: Unit, soft: Tensor | None) -> Request:
        for num_dropped in range(len(unit.exemplars) + 1):
            context = render_context(
                unit.constraint,
                unit.exemplars[num_dropped:],
                self._ontology,
                attributes_in_text=self._config.prompts.attributes_in_text,
            )
            if self._fits(context, soft):
                return Request(
                    unit_id=unit.id,
                    context=context,
                    soft=soft,
                    num_candidates=unit.num_candidates,
                    random_seed=unit.random_seed,
                )
        raise ConstraintError(
            f"unit {unit.id} (seed example {unit.seed_uid}) needs more than the LM's "
            f"{self._lm and self._lm.max_positions} positions even without exemplars; shorten its "
            "slot values, prompts.instruction_length, prompts.attribute_length or "
            "generate.max_new_tokens."
        )

    def _fits(self, context: str, soft: Tensor | None) -> bool:
        if self._lm is None:
            return True
        num_text = len(self._lm.tokenizer(context, add_special_tokens=False)["input_ids"])
        num_prompt = num_text + (0 if soft is None else int(soft.shape[0]))
        if self._lm.is_encoder_decoder:
            return num_prompt <= self._lm.max_positions
        return num_prompt + self._config.generate.max_new_tokens <= self._lm.max_positions

    def _mixed(self, units: Sequence[Unit]) -> list[Tensor | None]:
        if self._soft is None:
            return [None] * len(units)
        import torch

        present = torch.zeros(len(units), len(self._ontology.all), dtype=torch.bool)
        for row, unit in enumerate(units):
            for name in (*unit.constraint.attributes, *unit.constraint.values):
                present[row, self._ontology.index(name)] = True
        with torch.inference_mode():
            mixed = self._soft(present.to(self._soft.instruction.device))
        return [mixed.embeddings[row][mixed.mask[row]] for row in range(len(units))]
