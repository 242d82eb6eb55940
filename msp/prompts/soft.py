"""What a run learns: instruction prompt, attribute prompts and their mixture, contextual prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from msp.models.frozen_lm import FrozenLM
from msp.prompts.contextual import Contextual
from msp.prompts.mixtures import MixedPrompt, MixtureSizes, find_mixture, text_summary
from msp.prompts.mixtures.base import full_mask
from msp.prompts.text import present_names
from msp.records import Constraint, Unit
from msp.tasks.ontology import Ontology


class SoftPrompts(nn.Module):
    """All that prompt tuning learns; megabytes, whatever the frozen LM's size.

    Args:
        instruction: [P_i, H], shared by every example; P_i is 0 where there is none.
        attributes: [A, P_a, H], in the order of ``Ontology.all``; P_a is 0 where there are none.
        mixture: a name of :data:`msp.prompts.mixtures.MIXTURES`.
        contextual: what is computed from an example's embedding; None for attributes alone.
    """

    def __init__(
        self,
        instruction: Tensor,
        attributes: Tensor,
        *,
        mixture: str,
        contextual: Contextual | None = None,
    ) -> None:
        super().__init__()
        assert instruction.ndim == 2 and attributes.ndim == 3
        assert instruction.shape[-1] == attributes.shape[-1]
        self._keep("instruction", instruction)
        self._keep("attributes", attributes)
        self.mixture = find_mixture(mixture)(MixtureSizes(*attributes.shape))
        self.mixture_name = mixture
        self.contextual = contextual

    instruction: Tensor
    attributes: Tensor

    def _keep(self, name: str, start: Tensor) -> None:
        """Learn a prompt from here on; an empty one is no parameter, which ZeRO could not share."""
        values = start.detach().clone()
        if values.numel():
            self.register_parameter(name, nn.Parameter(values))
        else:
            self.register_buffer(name, values, persistent=False)

    def forward(
        self, present: Tensor, text: Tensor | None = None, vectors: Tensor | None = None
    ) -> MixedPrompt:
        """Return instruction prompt, mixed attribute prompt and contextual prompt in a row.

        Args:
            present: [B, A] bool, true where the constraint has the attribute.
            text: [B, H], a summary of the text; needed where ``mixture.reads_text``.
            vectors: [B, D], embeddings of length 1; needed by a contextual prompt.

        Returns:
            embeddings [B, S, H] and mask [B, S], false where the mixed part is padded.

        Raises:
            ConstraintError: an example has no attribute, though there are attribute prompts.
        """
        batch_size = present.shape[0]
        parts = [self._whole(self.instruction[None].expand(batch_size, -1, -1))]
        if self.attributes.shape[1]:
            parts.append(self.mixture(self.attributes, present, text))
        if self.contextual is not None:
            assert vectors is not None
            parts.append(self._whole(self.contextual(vectors)))
        return MixedPrompt(
            torch.cat([part.embeddings for part in parts], dim=1),
            torch.cat([part.mask for part in parts], dim=1),
        )

    @staticmethod
    def _whole(embeddings: Tensor) -> MixedPrompt:
        return MixedPrompt(embeddings, full_mask(embeddings))

    def fix_instruction(self) -> None:
        """Leave the instruction prompt as it is; the rest goes on learning."""
        self.instruction.requires_grad_(False)

    @property
    def reads_text(self) -> bool:
        """Whether a mixture depends on the text after it."""
        return bool(self.mixture.reads_text)

    @torch.no_grad()
    def unpadded(
        self, present: Tensor, text: Tensor | None = None, vectors: Tensor | None = None
    ) -> list[Tensor]:
        """Return each row's soft prompt [S, H] without padding or gradient, as engines take it."""
        mixed = self(present, text, vectors)
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


class InstructionPrompt(nn.Module):
    """One soft prompt before every text, whatever is asked: prompt tuning of a single task.

    Args:
        instruction: [P, H]; of length 0 it is no prompt at all.
    """

    reads_text = False

    def __init__(self, instruction: Tensor) -> None:
        super().__init__()
        self.instruction = nn.Parameter(instruction.detach().clone())

    def forward(
        self, present: Tensor, text: Tensor | None = None, vectors: Tensor | None = None
    ) -> MixedPrompt:
        """Return the prompt once for each of the B rows of ``present`` [B, A]."""
        shared = self.instruction[None].expand(len(present), -1, -1)
        return MixedPrompt(shared, full_mask(shared))


@torch.no_grad()
def soft_prompts_for(
    soft: SoftPrompts,
    lm: FrozenLM,
    contexts: Sequence[str],
    present: Tensor,
    vectors: Tensor | None = None,
) -> list[Tensor]:
    """Return each context's soft prompt [S, H] without padding, as engines take it.

    Args:
        soft: the prompts, on the LM's device.
        lm: the frozen LM.
        contexts: the texts that will follow the prompts; where the mixture reads them, none
            of them is empty.
        present: [B, A] bool, see :func:`presence`.
        vectors: [B, D], see :meth:`SoftPrompts.forward`.
    """
    text = None
    if soft.mixture.reads_text:
        rows = lm.files.text_ids(contexts)
        # One by one: a summary is a maximum, which padding to the longest would only slow.
        text = torch.stack([_summary(lm, row) for row in rows])
    device = soft.instruction.device
    return soft.unpadded(
        present.to(device), text, vectors.to(device) if vectors is not None else None
    )


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
