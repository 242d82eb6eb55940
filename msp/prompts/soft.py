"""What a run learns: one instruction prompt, one prompt per attribute, and their mixture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from msp.models.frozen_lm import FrozenLM
from msp.prompts.mixtures import MixedPrompt, MixtureSizes, find_mixture, text_summary
from msp.prompts.text import present_names
from msp.records import Constraint, Unit
from msp.tasks.ontology import Ontology


class SoftPrompts(nn.Module):
    """All that prompt tuning learns; megabytes, whatever the frozen LM's size.

    Args:
        instruction: [P_i, H], shared by every example.
        attributes: [A, P_a, H], in the order of ``Ontology.all``.
        mixture: a name of :data:`msp.prompts.mixtures.MIXTURES`.
    """

    def __init__(self, instruction: Tensor, attributes: Tensor, *, mixture: str) -> None:
        super().__init__()
        assert instruction.ndim == 2 and attributes.ndim == 3
        assert instruction.shape[-1] == attributes.shape[-1]
        self.instruction = nn.Parameter(instruction.detach().clone())
        self.attributes = nn.Parameter(attributes.detach().clone())
        self.mixture = find_mixture(mixture)(MixtureSizes(*attributes.shape))
        self.mixture_name = mixture

    def forward(self, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Return the instruction prompt followed by each example's mixed attribute prompt.

        Args:
            present: [B, A] bool, true where the constraint has the attribute.
            text: [B, H], a summary of the text; needed where ``mixture.reads_text``.

        Returns:
            embeddings [B, S, H] and mask [B, S], padded at the end.

        Raises:
            ConstraintError: an example has no attribute.
        """
        mixed: MixedPrompt = self.mixture(self.attributes, present, text)
        batch_size = present.shape[0]
        shared = self.instruction[None].expand(batch_size, -1, -1)
        shared_mask = mixed.mask.new_ones(batch_size, self.instruction.shape[0])
        return MixedPrompt(
            torch.cat([shared, mixed.embeddings], dim=1),
            torch.cat([shared_mask, mixed.mask], dim=1),
        )

    def length(self, num_present: int) -> int:
        """Return how many positions the soft prompt of ``num_present`` attributes takes."""
        prompt_length = self.attributes.shape[1]
        mixed = self.mixture.length(prompt_length, num_present)
        return self.instruction.shape[0] + mixed

    @torch.no_grad()
    def unpadded(self, present: Tensor, text: Tensor | None = None) -> list[Tensor]:
        """Return each row's soft prompt [S, H] without padding or gradient, as engines take it."""
        mixed = self(present, text)
        return [row[mask] for row, mask in zip(mixed.embeddings, mixed.mask, strict=True)]

    @torch.no_grad()
    def blended(self, shares: Tensor) -> list[Tensor]:
        """Return the instruction prompt and, after it, one prompt made of several by their shares.

        Args:
            shares: [B, A], each row sums to 1; see :meth:`msp.prompts.mixtures.Mixture.blend`.

        Returns:
            B prompts [P_i + P_a, H] without gradient, as engines take them.
        """
        blended = self.mixture.blend(self.attributes, shares)
        return [torch.cat([self.instruction, row]) for row in blended]


@torch.no_grad()
def soft_prompts_for(
    soft: SoftPrompts, lm: FrozenLM, contexts: Sequence[str], present: Tensor
) -> list[Tensor]:
    """Return each context's soft prompt [S, H] without padding, as engines take it.

    Args:
        soft: the prompts, on the LM's device.
        lm: the frozen LM.
        contexts: the texts that will follow the prompts, none of them empty.
        present: [B, A] bool, see :func:`presence`.
    """
    text = None
    if soft.mixture.reads_text:
        rows = lm.files.text_ids(contexts)
        # One by one: a summary is a maximum, which padding to the longest would only slow.
        text = torch.stack([_summary(lm, row) for row in rows])
    return soft.unpadded(present.to(soft.instruction.device), text)


def _summary(lm: FrozenLM, token_ids: Sequence[int]) -> Tensor:
    ids = torch.tensor([list(token_ids)], device=lm.device)
    return text_summary(lm.embedding(ids), torch.ones_like(ids, dtype=torch.bool))[0]


def presence(constraints: Sequence[Constraint], ontology: Ontology) -> Tensor:
    """Return [B, A] bool: which labels and slots of the ontology each constraint carries.

    Raises:
        TaskDataError: a constraint names something that the ontology does not know.
    """
    present = torch.zeros(len(constraints), len(ontology.all), dtype=torch.bool)
    for row, constraint in enumerate(constraints):
        for name in present_names(constraint, ontology):
            present[row, ontology.index(name)] = True
    return present


def shares(units: Sequence[Unit], ontology: Ontology) -> Tensor:
    """Return [B, A]: what share of each text is asked to be of which class.

    Raises:
        TaskDataError: a unit names a class that the ontology does not know.
    """
    found = torch.zeros(len(units), len(ontology.all))
    for row, unit in enumerate(units):
        assert unit.mix is not None
        (own,) = unit.constraint.attributes
        alpha = 1.0 if unit.mix.attribute is None else unit.mix.alpha
        found[row, ontology.index(own)] = alpha
        if unit.mix.attribute is not None:
            found[row, ontology.index(unit.mix.attribute)] = 1.0 - alpha
    return found
