"""BLEU on dev: does one greedy text per dev example resemble what was really said?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sacrebleu
import torch
from torch import Tensor

from msp.config import RunConfig
from msp.engines.base import Request
from msp.engines.hf import HFEngine
from msp.engines.sampling import GREEDY_TEMPERATURE
from msp.models.frozen_lm import FrozenLM
from msp.prompts.batches import share
from msp.prompts.encode import ExampleEncoder, has_attributes
from msp.prompts.soft import SoftPrompts, presence, soft_prompts_for
from msp.prompts.text import constraint_of, render_target
from msp.prompts.vectors import Vectors
from msp.records import Example
from msp.tasks.base import TaskData


class DevBleu:
    """A fixed sample of dev examples, generated for with whatever the prompts are at the time.

    Args:
        lm: the frozen LM that is being prompted.
        encoder: writes the contexts.
        task: its dev examples are the references; one without attributes, or too long for the
            LM's context, is not generated for.
        config: ``tune.max_dev_generations`` caps the sample, ``generate`` the texts' length.
        vectors: of the dev examples, where a contextual prompt reads them.
    """

    def __init__(
        self,
        lm: FrozenLM,
        encoder: ExampleEncoder,
        task: TaskData,
        config: RunConfig,
        *,
        vectors: Vectors | None = None,
    ) -> None:
        self._lm = lm
        usable = [e for e in task.dev if has_attributes(e) or not config.prompts.has_attributes]
        usable = sample_dev(usable, config.tune.max_dev_generations, seed=config.seed)
        targets = lm.files.target_ids([render_target(example.text) for example in usable])
        longest = max(map(len, targets), default=1)
        # Twice the longest reference: more would only add to a text that is wrong anyway.
        num_new = min(config.generate.max_new_tokens, 2 * longest)
        changes = {
            "temperature": GREEDY_TEMPERATURE,
            "repetition_penalty": 1.0,
            "max_new_tokens": num_new,
        }
        self._sampling = config.generate.model_copy(update=changes)
        contexts = [encoder.context_of(e, epoch=0, num_reserved=num_new) for e in usable]
        fitting = [(e, text) for e, text in zip(usable, contexts, strict=True) if text is not None]
        self._examples = [example for example, _ in fitting]
        self._contexts = [text for _, text in fitting]
        self._present = presence([constraint_of(e) for e in self._examples], task.ontology)
        self._vectors: Tensor | None = None
        if vectors and self._examples:
            self._vectors = torch.stack([vectors[example.uid] for example in self._examples])

    def score(
        self, soft: SoftPrompts, *, rank: int = 0, num_workers: int = 1, in_step: bool = False
    ) -> float | None:
        """Return corpus BLEU (0 to 100), the same on every worker; None without dev examples.

        Args:
            soft: the prompts.
            rank: of this worker.
            num_workers: that share the texts; each of them must call this.
            in_step: every worker makes every text, because the LM's own weights are scattered
                (ZeRO stage 3) and each forward pass needs all workers at once.
        """
        if not self._examples:
            return None
        places = list(range(len(self._examples)))
        own = places if in_step else share(places, rank=rank, num_workers=num_workers)
        texts = self._texts(soft, own)
        if num_workers > 1 and not in_step:
            parts: list[dict[int, str] | None] = [None] * num_workers
            torch.distributed.all_gather_object(parts, texts)
            texts = {place: text for part in parts if part for place, text in part.items()}
        references = [" ".join(example.text.split()) for example in self._examples]
        hypotheses = [texts[place] for place in places]
        return float(sacrebleu.corpus_bleu(hypotheses, [references], force=True).score)

    def _texts(self, soft: SoftPrompts, places: Sequence[int]) -> dict[int, str]:
        if not places:
            return {}
        contexts = [self._contexts[place] for place in places]
        vectors = None if self._vectors is None else self._vectors[places]
        prompts = soft_prompts_for(soft, self._lm, contexts, self._present[places], vectors)
        requests = [
            Request(place, self._contexts[place], prompt, num_candidates=1, random_seed=0)
            for place, prompt in zip(places, prompts, strict=True)
        ]
        generated = HFEngine(self._lm).generate(requests, self._sampling)
        return {place: texts[0].text for place, texts in zip(places, generated, strict=True)}


def sample_dev(examples: Sequence[Example], num: int, *, seed: int) -> list[Example]:
    """Return at most ``num`` of the examples in their order, the same ones for the same seed."""
    drawn = np.random.default_rng([seed % 2**64, 0]).permutation(len(examples))[:num]
    return [examples[place] for place in sorted(drawn.tolist())]
