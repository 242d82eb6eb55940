"""Examples as token ids: the context and target that tuning learns from, cut to fit the LM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from msp.config import PromptsConfig
from msp.errors import ConfigError, TaskDataError
from msp.models.lm_files import LMFiles
from msp.prompts.exemplars import ExemplarPools
from msp.prompts.mixtures import find_mixture
from msp.prompts.text import constraint_of, present_names, render_context, render_target
from msp.records import Constraint, Example
from msp.tasks.ontology import Ontology

Render = Callable[[Sequence[Example]], str]
"""Makes a context of the exemplars that it may show."""


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One example, ready for a batch.

    Args:
        uid: of the example.
        present: positions of its labels and slots in ``Ontology.all``.
        context: token ids after the soft prompt.
        target: token ids to be learned.
        soft_length: positions that its soft prompt takes.
    """

    uid: str
    present: tuple[int, ...]
    context: list[int]
    target: list[int]
    soft_length: int

    @property
    def length(self) -> int:
        """Positions of everything together."""
        return self.soft_length + len(self.context) + len(self.target)


@dataclass(frozen=True)
class ExampleEncoder:
    """Writes contexts for one LM, one ontology and one form of prompt.

    Args:
        files: the LM's tokenizer and limits.
        prompts: lengths, mixture and form.
        ontology: the task's attributes.
        seeds: the seed examples that exemplars are drawn from; not needed where they are given.
        seed: the run's; with the epoch and the example it decides the draw.
    """

    files: LMFiles
    prompts: PromptsConfig
    ontology: Ontology
    seeds: Sequence[Example] = ()
    seed: int = 0

    @cached_property
    def _pools(self) -> ExemplarPools:
        return ExemplarPools(self.seeds, self.prompts.exemplar_pool_size)

    @property
    def pad_id(self) -> int:
        """The token that fills a batch's shorter rows."""
        return int(self.files.tokenizer.pad_token_id)

    def soft_length(self, constraint: Constraint) -> int:
        """Return how many positions the constraint's soft prompt takes."""
        num_present = len(present_names(constraint, self.ontology))
        mixed = find_mixture(self.prompts.mixture).length(
            self.prompts.attribute_length, num_present
        )
        return self.prompts.instruction_length + mixed

    def context(
        self, constraint: Constraint, exemplars: Sequence[Example], *, num_reserved: int
    ) -> str | None:
        """Return the longest context that leaves ``num_reserved`` positions for what is written.

        See :meth:`longest`.
        """
        taken = self.soft_length(constraint)
        render = partial(self._render, constraint)
        return self.longest(render, exemplars, soft_length=taken, num_reserved=num_reserved)

    def longest(
        self, render: Render, exemplars: Sequence[Example], *, soft_length: int, num_reserved: int
    ) -> str | None:
        """Return what ``render`` makes of as many exemplars as fit.

        The farthest exemplars, which stand first, are dropped first.

        Returns:
            None where it does not fit even without exemplars.
        """
        room = self.files.max_positions - soft_length
        if not self.files.is_encoder_decoder:
            room -= num_reserved
        for start in range(len(exemplars) + 1):
            text = render(exemplars[start:])
            if len(self.files.text_ids([text])[0]) <= room:
                return text
        return None

    def context_of(self, example: Example, *, epoch: int, num_reserved: int) -> str | None:
        """Return the context that asks for what an example carries, with exemplars as in an epoch.

        See :meth:`context`.
        """
        exemplars = self._draw(example, epoch)
        return self.context(constraint_of(example), exemplars, num_reserved=num_reserved)

    def encode(self, examples: Sequence[Example], *, epoch: int) -> list[EncodedExample]:
        """Return the examples with exemplars drawn for one epoch.

        The exemplars follow from (seed, epoch, example) alone, so that a
        resumed epoch is the same epoch. Examples without label and slot value
        have no attribute prompt and are left out.

        Raises:
            TaskDataError: an example does not fit the LM's context even without exemplars.
            ConfigError: the soft prompt alone leaves no room.
        """
        usable = [example for example in examples if has_attributes(example)]
        drawn = [self._draw(example, epoch) for example in usable]
        constraints = [constraint_of(example) for example in usable]
        texts = [self._render(c, e) for c, e in zip(constraints, drawn, strict=True)]
        contexts = self.files.text_ids(texts)
        targets = self.files.target_ids([render_target(example.text) for example in usable])
        return [
            self._fitted(*row)
            for row in zip(usable, constraints, drawn, contexts, targets, strict=True)
        ]

    def _fitted(
        self,
        example: Example,
        constraint: Constraint,
        exemplars: Sequence[Example],
        context: list[int],
        target: list[int],
    ) -> EncodedExample:
        soft_length = self.soft_length(constraint)
        reserved = 0 if self.files.is_encoder_decoder else len(target)
        limit = self.files.max_positions
        if soft_length + len(context) + reserved > limit or len(target) > limit:
            text = self.context(constraint, exemplars[1:], num_reserved=len(target))
            if text is None or len(target) > limit:
                raise self._too_long(example, soft_length, len(target))
            context = self.files.text_ids([text])[0]
        present = tuple(map(self.ontology.index, present_names(constraint, self.ontology)))
        return EncodedExample(example.uid, present, context, target, soft_length)

    def _too_long(self, example: Example, soft_length: int, num_target: int) -> Exception:
        limit = self.files.max_positions
        if soft_length >= limit:
            num = len(present_names(constraint_of(example), self.ontology))
            return ConfigError(
                f"prompts: the soft prompt of example {example.uid} takes {soft_length} positions "
                f"(prompts.instruction_length {self.prompts.instruction_length}, and "
                f"prompts.attribute_length {self.prompts.attribute_length} for each of its {num} "
                f"attributes, mixture {self.prompts.mixture}), but the model {self.files.name} has "
                f"{limit} positions in all; shorten the prompts."
            )
        return TaskDataError(
            f"example {example.uid}: its text takes {num_target} tokens, and with its soft prompt "
            f"of {soft_length} positions and its labels it does not fit the model "
            f"{self.files.name}, which has {limit} positions; shorten the text or the prompts."
        )

    def _draw(self, example: Example, epoch: int) -> tuple[Example, ...]:
        key = int.from_bytes(hashlib.sha256(example.uid.encode()).digest()[:8], "little")
        rng = np.random.default_rng([self.seed % 2**64, epoch, key])
        return self._pools.draw(example, self.prompts.num_exemplars, rng=rng)

    def _render(self, constraint: Constraint, exemplars: Sequence[Example]) -> str:
        return render_context(
            constraint,
            exemplars,
            self.ontology,
            attributes_in_text=self.prompts.attributes_in_text,
        )


def has_attributes(example: Example) -> bool:
    """Tell whether an example carries a label or a slot value, and so has a soft prompt."""
    return bool(example.attributes) or any(example.values.values())
