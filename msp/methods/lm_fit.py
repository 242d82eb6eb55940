"""An LM that learns to continue contexts: what fine-tuning and prompt tuning of one task share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from msp.config import ModelConfig, RunConfig
from msp.models.attention import use_fast_attention
from msp.models.frozen_lm import FrozenLM, load_frozen_lm
from msp.models.lora import LoraBank
from msp.models.recompute import recompute_activations
from msp.prompts.encode import EncodedExample
from msp.prompts.objective import TuningObjective, collate
from msp.prompts.soft import InstructionPrompt

# What starts as no change bears larger steps than weights that already know something.
ADDED_RATE = 1e-3
_ALL_WEIGHTS_RATE = 1e-4


@dataclass
class LMFit:
    """A fit whose examples are contexts and targets; see :class:`msp.methods.base.Fit`.

    Args:
        module: what learns.
        learning_rate: of its parameters.
        objective: the LM, with what learns put before, into or beside it.
        encode: epoch -> its examples; epoch 0 is dev's.
        num_attributes: of the ontology.
        pad_id: what fills shorter rows.
    """

    module: nn.Module
    learning_rate: float
    objective: TuningObjective
    encode: Callable[[int], Sequence[EncodedExample]]
    num_attributes: int
    pad_id: int

    def examples(self, epoch: int) -> Sequence[EncodedExample]:
        """See :class:`msp.methods.base.Fit`."""
        return self.encode(epoch)

    def dev_examples(self) -> Sequence[EncodedExample]:
        """See :class:`msp.methods.base.Fit`."""
        return self.encode(0)

    def loss(self, batch: Sequence[EncodedExample], *, share_done: float) -> tuple[Tensor, int]:
        """Return the cross-entropy of the targets."""
        tensors = collate(batch, self.num_attributes, self.pad_id)
        loss: Tensor = self.objective(tensors.to(self.objective.lm.device))
        return loss, sum(len(example.target) for example in batch)


def load_for_fit(config: RunConfig, *, weights: Literal["all", "lora"] = "lora") -> FrozenLM:
    """Return the LM as a fit needs it: on the GPU that ``tune`` asks for, ready for gradients.

    With all weights it is float32, since small steps would be rounded away in bfloat16.
    """
    dtype = "float32" if weights == "all" else config.tune.precision
    model: ModelConfig = config.model.model_copy(update={"dtype": dtype})
    # What was not asked of Ray is not ours, even where it can be seen.
    lm = load_frozen_lm(model, device="auto" if config.tune.gpus_per_worker else "cpu")
    use_fast_attention(lm.model, dtype=lm.model.dtype)
    if config.tune.activation_checkpointing:
        recompute_activations(lm.model, name=lm.name)
    return lm


def changed_weights(lm: FrozenLM, config: RunConfig) -> nn.Module:
    """Return what learns of an LM by ``generate.clm_weights``: an adapter, now in use, or all."""
    if config.generate.clm_weights == "all":
        module: nn.Module = lm.model.requires_grad_(True)
        return module
    bank = LoraBank(lm.model, rank=config.generate.lora_rank, seed=config.seed)
    bank.use()
    return bank


def weights_rate(config: RunConfig) -> float:
    """Return the learning rate of what :func:`changed_weights` gives."""
    usual = _ALL_WEIGHTS_RATE if config.generate.clm_weights == "all" else ADDED_RATE
    return config.tune.fit_learning_rate or usual


def text_objective(
    lm: FrozenLM, config: RunConfig, instruction: InstructionPrompt | None = None
) -> TuningObjective:
    """Return the LM's loss on contexts and targets, after an instruction prompt or nothing."""
    nothing = torch.zeros(0, lm.hidden_size, device=lm.device)
    soft = instruction or InstructionPrompt(nothing)
    return TuningObjective(lm, soft, shares_instruction=not config.tune.activation_checkpointing)
