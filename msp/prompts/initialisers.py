"""How a soft prompt starts: functions of one signature, chosen by name.

Where a prompt starts decides what tuning reaches: vocabulary rows beat noise,
and rows that mean something beat random ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from msp.config import PromptsConfig
from msp.models.encoder import vector_size
from msp.models.frozen_lm import FrozenLM
from msp.prompts.contextual import Contextual, ContextualSizes, find_form
from msp.prompts.soft import SoftPrompts
from msp.prompts.text import instruction_text
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
    lm: FrozenLM, ontology: Ontology, config: PromptsConfig, *, seed: int
) -> SoftPrompts:
    """Return the prompts that tuning starts from, on the CPU in float32.

    Args:
        lm: gives embeddings and tokens.
        ontology: one attribute prompt for each of its attributes and slots.
        config: lengths, initialiser, mixture and form.
        seed: the only source of chance.

    Raises:
        CheckpointError: the encoder of a contextual prompt is not there.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    rows = torch.arange(lm.embedding.weight.shape[0], device=lm.device)
    embeddings = lm.embedding(rows).cpu()
    contextual = None
    if config.has_contextual:
        contextual = _initial_contextual(embeddings, lm.files.real_rows, config, generator)
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


def _initial_contextual(
    embeddings: Tensor,
    real_rows: Sequence[int],
    config: PromptsConfig,
    generator: torch.Generator,
) -> Contextual:
    """Return what starts as vocabulary rows, or as noise, whatever the example."""
    start = from_noise if config.init == "noise" else from_vocabulary
    length, num_bases = config.contextual_length, config.contextual_bases
    rows = start(embeddings, (), real_rows, length * num_bases, generator)
    sizes = ContextualSizes(
        vector_size=vector_size(config.contextual_encoder),
        length=length,
        hidden_size=embeddings.shape[1],
        num_bases=num_bases,
        width=config.contextual_width,
    )
    return find_form(config.contextual_form)(sizes, rows.view(num_bases, length, -1))
