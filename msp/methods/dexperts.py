"""``dexperts``: the frozen LM, steered while it writes by an expert and an anti-expert.

Liu et al. 2021 (arXiv 2105.03023) add to an LM's logits what an LM that learned
from texts with an attribute says, less what one that learned from texts without
it says. Here every label and slot a of the ontology has such a pair, each a LoRA
adapter of the same frozen LM. For a constraint C the next token is drawn from

    softmax( z(x | context) + alpha / |C| * sum over a in C of ( z+a(x) - z-a(x) ) )

with alpha = ``generate.dexperts_alpha``. With one attribute it is the published
formula; the mean keeps its size however many are asked for. A candidate's
``logprob`` is under this mixture. z reads the context of ``hard_prompt``. The
experts read the header and the candidate so far, and no label: as published,
they know their attribute from the texts that they learned from.

Each epoch an example teaches the expert of every attribute that it carries, and
as many anti-experts, drawn anew, of attributes that it does not. So both sides
see as much text, and learning costs twice the labels of the seed examples
however many attributes there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from msp.config import RunConfig
from msp.errors import TaskDataError
from msp.methods.base import Opening
from msp.methods.lm_writers import frozen_lm, naming_labels
from msp.methods.writing import UnitWriter
from msp.prompts.text import constraint_of, present_names, render_context, render_target
from msp.records import Constraint, Example
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology

if TYPE_CHECKING:
    from torch import Tensor, nn

    from msp.models.frozen_lm import FrozenLM
    from msp.models.lm_files import LMFiles
    from msp.models.lora import LoraBank
    from msp.prompts.encode import EncodedExample
    from msp.prompts.objective import TuningObjective


def expert(attribute: int) -> int:
    """Return the adapter of an attribute's expert, by the attribute's place in the ontology."""
    return 2 * attribute


def anti_expert(attribute: int) -> int:
    """Return the adapter of its anti-expert."""
    return 2 * attribute + 1


def steering(
    constraint: Constraint, ontology: Ontology, alpha: float
) -> tuple[tuple[int, float], ...]:
    """Return the adapters of a constraint with their weights in the formula."""
    places = [ontology.index(name) for name in present_names(constraint, ontology)]
    each = alpha / max(len(places), 1)
    return tuple(pair for a in places for pair in ((expert(a), each), (anti_expert(a), -each)))


def start_text(task: TaskData) -> str:
    """Return what experts and anti-experts read before a text: a header that names no label."""
    nothing = Constraint((), {}, task.domain)
    return render_context(nothing, (), task.ontology, attributes_in_text=False)


@dataclass(frozen=True)
class Lesson:
    """One text for one adapter."""

    adapter: int
    example: EncodedExample

    @property
    def length(self) -> int:
        """Positions of the text and of what stands before it."""
        return self.example.length


@dataclass
class ExpertsFit:
    """All experts and anti-experts, learned together; see :class:`msp.methods.base.Fit`.

    Args:
        module: the adapters.
        learning_rate: of theirs.
        objective: the LM that they change.
        task: whose examples are the lessons.
        seed: of the run; decides whom an example teaches what it is not.
        files: the LM's tokenizer and limits.
    """

    module: nn.Module
    learning_rate: float
    objective: TuningObjective
    task: TaskData
    seed: int
    files: LMFiles

    def examples(self, epoch: int) -> list[Lesson]:
        """See :class:`msp.methods.base.Fit`."""
        return self._lessons(self.task.labelled, epoch)

    def dev_examples(self) -> list[Lesson]:
        """See :class:`msp.methods.base.Fit`."""
        return self._lessons(self.task.dev, 0)

    def loss(self, batch: Sequence[Lesson], *, share_done: float) -> tuple[Tensor, int]:
        """Return the cross-entropy of the texts, each under its adapter."""
        import torch

        from msp.models.lora import LoraBank
        from msp.prompts.objective import collate

        device = self.objective.lm.device
        assert isinstance(self.module, LoraBank)
        self.module.use(torch.tensor([lesson.adapter for lesson in batch], device=device))
        pad_id = int(self.files.tokenizer.pad_token_id)
        tensors = collate([lesson.example for lesson in batch], 0, pad_id)
        loss: Tensor = self.objective(tensors.to(device))
        return loss, sum(len(lesson.example.target) for lesson in batch)

    def _lessons(self, examples: Sequence[Example], epoch: int) -> list[Lesson]:
        texts = self._encoded(examples)
        known = self._taught()
        lessons: list[Lesson] = []
        for example, text in zip(examples, texts, strict=True):
            names = present_names(constraint_of(example), self.task.ontology)
            carried = sorted(map(self.task.ontology.index, names))
            others = [a for a in known if a not in carried]
            key = int.from_bytes(hashlib.sha256(example.uid.encode()).digest()[:8], "little")
            rng = np.random.default_rng([self.seed % 2**64, epoch, key])
            drawn = rng.permutation(others)[: max(1, len(carried))].tolist()
            lessons += [Lesson(expert(a), text) for a in carried if a in known]
            lessons += [Lesson(anti_expert(int(a)), text) for a in drawn]
        return lessons

    def _taught(self) -> list[int]:
        """Return the attributes that some example carries; nobody can be asked for the others."""
        ontology = self.task.ontology
        carried = {n for e in self.task.labelled for n in present_names(constraint_of(e), ontology)}
        return sorted(map(ontology.index, carried))

    def _encoded(self, examples: Sequence[Example]) -> list[EncodedExample]:
        from msp.prompts.encode import EncodedExample

        start = self.files.text_ids([start_text(self.task)])[0]
        targets = self.files.target_ids([render_target(example.text) for example in examples])
        for example, target in zip(examples, targets, strict=True):
            if len(start) + len(target) > self.files.max_positions:
                raise TaskDataError(
                    f"example {example.uid}: its text takes {len(target)} tokens, but the model "
                    f"{self.files.name} has {self.files.max_positions} positions; shorten it."
                )
        return [
            EncodedExample(example.uid, (), start, target, 0)
            for example, target in zip(examples, targets, strict=True)
        ]


def open_experts_fit(opening: Opening) -> ExpertsFit:
    """Return the fit of every attribute's expert and anti-expert."""
    from msp.methods.lm_fit import ADDED_RATE, load_for_fit, text_objective

    config, task = opening.config, opening.task
    lm = load_for_fit(config)
    return ExpertsFit(
        module=_bank(lm, config, task.ontology),
        learning_rate=config.tune.fit_learning_rate or ADDED_RATE,
        objective=text_objective(lm, config),
        task=task,
        seed=config.seed,
        files=lm.files,
    )


def with_experts(opening: Opening) -> UnitWriter:
    """Return a writer with the frozen LM and what steers it.

    Raises:
        CheckpointError: nothing was learned yet, or with another LM.
    """
    config, task = naming_labels(opening.config), opening.task
    if config.generate.engine == "scripted":
        return UnitWriter(config, task.ontology)
    from msp.engines.hf_steered import SteeredEngine
    from msp.methods.fit_store import fit_is_saved, load_fit

    lm = frozen_lm(opening)
    bank = _bank(lm, config, task.ontology)
    if fit_is_saved(opening.store) or not opening.untuned:
        load_fit(opening.store, bank, lm.files)
    alpha = config.generate.dexperts_alpha
    return UnitWriter(
        config,
        task.ontology,
        lm=lm,
        engine=SteeredEngine(lm, bank, start=start_text(task)),
        steer=lambda constraint: steering(constraint, task.ontology, alpha),
    )


def _bank(lm: FrozenLM, config: RunConfig, ontology: Ontology) -> LoraBank:
    from msp.models.lora import LoraBank

    rank, number = config.generate.lora_rank, 2 * len(ontology.all)
    return LoraBank(lm.model, rank=rank, num_adapters=number, seed=config.seed)
