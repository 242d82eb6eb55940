"""``fine_tune`` and ``soft_prompt``: the LM answers the task itself, and nothing is generated.

MSP's two references without synthetic data. Both learn to go on from a text with
its labels, in brackets where words are labelled (:mod:`msp.students.written`),
and answer with the likeliest line. ``fine_tune`` changes the LM (an adapter, or
all weights by ``generate.clm_weights``); ``soft_prompt`` leaves it frozen and
learns one instruction prompt before every text (Lester et al., arXiv 2104.08691).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from msp.errors import ConfigError, TaskDataError
from msp.methods.base import Opening

if TYPE_CHECKING:
    from msp.config import GenerateConfig, RunConfig
    from msp.methods.lm_fit import LMFit
    from msp.models.frozen_lm import FrozenLM
    from msp.prompts.encode import EncodedExample
    from msp.prompts.soft import InstructionPrompt
    from msp.records import Example
    from msp.tasks.base import TaskData

_INSTRUCTION = "Name everything that the sentence expresses, in the words of the task."


def writes_nothing(opening: Opening) -> NoReturn:
    """Refuse to write.

    Raises:
        ConfigError: always.
    """
    method = opening.config.generate.method
    raise ConfigError(
        f"generate.method is {method}, which answers the task itself and writes no candidates; "
        "use msp run or msp train, or another generate.method."
    )


@dataclass(frozen=True)
class Predictor:
    """An LM that answers a task, and what it learns to do so.

    Args:
        lm: the LM.
        fit: how it learns.
        sampling: how long its lines may be, and how many are written at once.
        instruction: the soft prompt before every text; None where the LM itself learns.
    """

    lm: FrozenLM
    fit: LMFit
    sampling: GenerateConfig
    instruction: InstructionPrompt | None

    def lines(self, texts: Sequence[str], domains: Sequence[str]) -> list[str]:
        """Return the line that the LM writes for each text; none where a text is too long."""
        from msp.engines.lines import likeliest_lines

        soft = None if self.instruction is None else self.instruction.instruction.detach()
        contexts = list(map(question, texts, domains))
        return likeliest_lines(self.lm, contexts, self.sampling, soft=soft)


def question(text: str, domain: str) -> str:
    """Return what the LM goes on from; the LM that ships was pre-trained on such lines, too."""
    words = " ".join(domain.replace("_", " ").split())
    return f"Sentence: {' '.join(text.split())}\nDomain: {words}\nExpresses:"


def open_predictor(opening: Opening) -> Predictor:
    """Return the LM that answers the task, before it has learned.

    Raises:
        TaskDataError: an example does not fit the LM's context.
    """
    from msp.methods.lm_fit import (
        LMFit,
        changed_weights,
        load_for_fit,
        text_objective,
        weights_rate,
    )

    config, task = opening.config, opening.task
    prompted = config.generate.method == "soft_prompt"
    lm = load_for_fit(config, weights="lora" if prompted else config.generate.clm_weights)
    instruction = _instruction(lm, config) if prompted else None
    length = config.prompts.instruction_length if prompted else 0
    learned, dev = (_encoded(lm, task, split, length) for split in (task.labelled, task.dev))
    fit = LMFit(
        module=instruction or changed_weights(lm, config),
        learning_rate=config.tune.learning_rate if prompted else weights_rate(config),
        objective=text_objective(lm, config, instruction),
        encode=lambda epoch: learned if epoch else dev,
        num_attributes=0,
        pad_id=int(lm.tokenizer.pad_token_id or 0),
    )
    # No answer is much longer than the longest that was ever seen.
    longest = {"max_new_tokens": 2 * max(len(example.target) for example in learned)}
    return Predictor(lm, fit, config.generate.model_copy(update=longest), instruction)


def open_direct_fit(opening: Opening) -> LMFit:
    """Return how the LM learns to answer; see :func:`open_predictor`."""
    return open_predictor(opening).fit


def _instruction(lm: FrozenLM, config: RunConfig) -> InstructionPrompt:
    import torch

    from msp.prompts.initialisers import from_text_then_vocabulary
    from msp.prompts.soft import InstructionPrompt

    chance = torch.Generator().manual_seed(config.seed % 2**63)
    with torch.no_grad():
        rows = torch.arange(lm.embedding.weight.shape[0], device=lm.device)
        embeddings = lm.embedding(rows).cpu()
    start = from_text_then_vocabulary(
        embeddings,
        lm.files.text_ids([_INSTRUCTION])[0],
        lm.files.real_rows,
        config.prompts.instruction_length,
        chance,
    )
    return InstructionPrompt(start.to(lm.device))


def _encoded(
    lm: FrozenLM, task: TaskData, examples: Sequence[Example], soft_length: int
) -> list[EncodedExample]:
    from msp.prompts.encode import EncodedExample
    from msp.prompts.text import render_target
    from msp.students.written import answer_line

    contexts = lm.files.text_ids([question(example.text, example.domain) for example in examples])
    lines = [render_target(answer_line(example, task.kind)) for example in examples]
    targets = lm.files.target_ids(lines)
    rows = [
        EncodedExample(example.uid, (), context, target, soft_length)
        for example, context, target in zip(examples, contexts, targets, strict=True)
    ]
    for row in rows:
        if row.length > lm.max_positions:
            raise TaskDataError(
                f"example {row.uid} takes {row.length} positions with its labels, but the model "
                f"{lm.name} has {lm.max_positions}; shorten it."
            )
    return rows
