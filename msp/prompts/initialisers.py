"""How a soft prompt starts: functions of one signature, chosen by name.

Where a prompt starts decides what tuning reaches: vocabulary rows beat noise,
and rows that mean something beat random ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from msp.config import PromptsConfig
from msp.models.encoder import vector_size
from msp.models.frozen_lm import FrozenLM
from msp.models.lm_files import LMFiles
from msp.prompts.contextual import Contextual, ContextualSizes, find_form
from msp.prompts.soft import SoftPrompts
from msp.prompts.text import instruction_text, render_context
from msp.records import Constraint, Example
from msp.tasks.ontology import Ontology

Initialiser = Callable[[Tensor, Sequence[int], Sequence[int], int, torch.Generator], Tensor]
"""(embeddings [V, H], token ids of the text, real rows, length P, chance) -> [P, H]."""


def from_description(
    embeddings: Tensor,
    token_ids: Sequence[int],
    real_rows: Sequence[int],
    length: int,
    generator: torch.Generator,
) -> Tensor:
    """Repeat the embeddings of a text's tokens until ``length`` rows are full (MSP, section 3.2).

    Args:
        embeddings: [V, H], the LM's input embeddings.
        token_ids: the text's tokens; without any, vocabulary rows are drawn.
        real_rows: see :func:`from_vocabulary`.
        length: rows to fill.
        generator: see :func:`from_vocabulary`.

    Returns:
        [length, H] float32.
    """
    if not token_ids:
        return from_vocabulary(embeddings, token_ids, real_rows, length, generator)
    repeated = [token_ids[row % len(token_ids)] for row in range(length)]
    return embeddings[torch.tensor(repeated)].float()


def from_vocabulary(
    embeddings: Tensor,
    token_ids: Sequence[int],
    real_rows: Sequence[int],
    length: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw rows of the embedding table: [length, H] float32.

    Args:
        embeddings: [V, H].
        token_ids: not used.
        real_rows: rows that stand for tokens; the table's padding and special tokens are not
            among them.
        length: rows to draw.
        generator: the only source of chance.
    """
    drawn = torch.randint(len(real_rows), (length,), generator=generator)
    return embeddings[torch.tensor(real_rows)[drawn]].float()


def from_noise(
    embeddings: Tensor,
    token_ids: Sequence[int],
    real_rows: Sequence[int],
    length: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw normal noise with the table's own standard deviation: [length, H] float32."""
    spread = embeddings[torch.tensor(real_rows)].float().std()
    return torch.randn(length, embeddings.shape[1], generator=generator) * spread


def from_text_then_vocabulary(
    embeddings: Tensor,
    token_ids: Sequence[int],
    real_rows: Sequence[int],
    length: int,
    generator: torch.Generator,
) -> Tensor:
    """Take the text's tokens once and draw the remaining rows: how the instruction prompt starts.

    See :func:`from_vocabulary` for the arguments; [length, H] float32.
    """
    drawn = from_vocabulary(embeddings, token_ids, real_rows, length, generator)
    head = embeddings[torch.tensor(token_ids[:length], dtype=torch.long)].float()
    return torch.cat([head, drawn[len(head) :]])


INITIALISERS: dict[str, Initialiser] = {
    "description": from_description,
    "vocabulary": from_vocabulary,
    "noise": from_noise,
}


@torch.no_grad()
def initial_prompts(
    lm: FrozenLM,
    ontology: Ontology,
    config: PromptsConfig,
    *,
    seed: int,
    examples: Sequence[Example] = (),
) -> SoftPrompts:
    """Return the prompts that tuning starts from, on the CPU in float32.

    Args:
        lm: gives embeddings and tokens.
        ontology: one attribute prompt for each of its attributes and slots.
        config: lengths, initialiser, mixture and form.
        seed: the only source of chance.
        examples: what a prompt starts as that is driven by an example alone; without any, it
            starts as vocabulary rows.

    Raises:
        CheckpointError: the encoder of a contextual prompt is not there.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    rows = torch.arange(lm.embedding.weight.shape[0], device=lm.device)
    embeddings = lm.embedding(rows).cpu()
    contextual = None
    if config.has_contextual:
        starts = _Starts(lm.files, embeddings, config, generator)
        # What text follows is shown examples already.
        shown = () if config.has_attributes or config.init != "description" else examples
        contextual = _initial_contextual(starts, shown)
    if not config.has_attributes:
        none = torch.zeros(0, embeddings.shape[1])
        no_attributes = none.expand(len(ontology.all), 0, -1)
        return SoftPrompts(none, no_attributes, mixture=config.mixture, contextual=contextual)
    real_rows = lm.files.real_rows
    request, *descriptions = lm.files.text_ids(
        [instruction_text(config.num_exemplars + 1), *(a.description for a in ontology.all)]
    )
    start = INITIALISERS[config.init]
    start_instruction = start if config.init == "noise" else from_text_then_vocabulary
    instruction = start_instruction(
        embeddings, request, real_rows, config.instruction_length, generator
    )
    attributes = [
        start(embeddings, ids, real_rows, config.attribute_length, generator)
        for ids in descriptions
    ]
    return SoftPrompts(
        instruction, torch.stack(attributes), mixture=config.mixture, contextual=contextual
    )


@dataclass(frozen=True)
class _Starts:
    """What contextual prompts can start as.

    Args:
        files: the LM's tokenizer.
        embeddings: [V, H].
        config: sizes and initialiser.
        generator: the only source of chance.
    """

    files: LMFiles
    embeddings: Tensor
    config: PromptsConfig
    generator: torch.Generator

    def one(self, examples: Sequence[Example]) -> Tensor:
        """Return [P, H]: rows that are drawn, and after them a list of examples that fit."""
        config, files = self.config, self.files
        draw = from_noise if config.init == "noise" else from_vocabulary
        length = config.contextual_length
        rows = draw(self.embeddings, (), files.real_rows, length, self.generator)
        listed = self._listed(examples)
        if listed:
            rows[-len(listed) :] = self.embeddings[torch.tensor(listed)].float()
        return rows

    def _listed(self, examples: Sequence[Example]) -> list[int]:
        """Return the tokens of as many examples as fit, in lines like those the LM is shown.

        The last line is open, so the untuned LM goes on with one more such example.
        """
        listed: list[int] = []
        order = torch.randperm(len(examples), generator=self.generator).tolist()
        shown: list[Example] = []
        for place in order:
            bare = replace(examples[place], attributes=(), values={})
            asked = Constraint((), {}, bare.domain)
            text = render_context(asked, [*shown, bare], Ontology(()), attributes_in_text=False)
            ids = self.files.text_ids([text])[0]
            if len(ids) <= self.config.contextual_length:
                shown.append(bare)
                listed = ids
        return listed


def _initial_contextual(starts: _Starts, examples: Sequence[Example]) -> Contextual:
    """Return what starts the same whatever the example."""
    config = starts.config
    bases = torch.stack([starts.one(examples) for _ in range(config.contextual_bases)])
    sizes = ContextualSizes(
        vector_size=vector_size(config.contextual_encoder),
        length=config.contextual_length,
        hidden_size=bases.shape[-1],
        num_bases=config.contextual_bases,
        width=config.contextual_width,
    )
    return find_form(config.contextual_form)(sizes, bases)
