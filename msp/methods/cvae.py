"""``cvae``: a conditional variational autoencoder of the seed examples writes in the LM's place.

The smallest of MSP's rivals: no pre-trained LM at all, only its tokenizer. Labels,
slots and the domain condition both of its sides (:mod:`msp.models.cvae`, where
the objective stands). It is not told slot values, so it seldom writes those
that are asked for. Its candidates' ``logprob`` is under its own decoder.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msp.methods.base import Opening, Writer
from msp.methods.writing import UnitWriter
from msp.prompts.text import constraint_of, present_names
from msp.records import Constraint, Example, Generated, Unit
from msp.tasks.base import TaskData

if TYPE_CHECKING:
    from torch import Tensor

    from msp.config import GenerateConfig
    from msp.models.cvae import ConditionalVAE
    from msp.models.lm_files import LMFiles

# Numbers of a candidate's stream for z; no text has as many tokens.
_LATENT_STEPS = 1 << 20


@dataclass(frozen=True)
class Conditions:
    """What a text is to carry, as numbers: one for each label and slot, one for each domain."""

    task: TaskData

    @property
    def domains(self) -> list[str]:
        """The domains of the task, whichever of them the examples at hand are of."""
        return sorted({self.task.domain, *self.task.ontology.domains})

    @property
    def size(self) -> int:
        """C."""
        return len(self.task.ontology.all) + len(self.domains)

    def of(self, constraints: Sequence[Constraint]) -> Tensor:
        """Return [B, C]; a domain that is not known has no number."""
        import torch

        ontology, domains = self.task.ontology, self.domains
        rows = torch.zeros(len(constraints), self.size)
        for row, constraint in enumerate(constraints):
            for name in present_names(constraint, ontology):
                rows[row, ontology.index(name)] = 1.0
            if constraint.domain in domains:
                rows[row, len(ontology.all) + domains.index(constraint.domain)] = 1.0
        return rows


@dataclass(frozen=True)
class Text:
    """One text to learn, with its end token."""

    tokens: list[int]
    constraint: Constraint

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.tokens)


@dataclass
class CVAEFit:
    """How the autoencoder learns; see :class:`msp.methods.base.Fit`.

    Args:
        module: the autoencoder.
        learning_rate: of its parameters.
        task: whose seed examples it learns.
        files: the LM's tokenizer.
    """

    module: ConditionalVAE
    learning_rate: float
    task: TaskData
    files: LMFiles

    def examples(self, epoch: int) -> list[Text]:
        """See :class:`msp.methods.base.Fit`; the same in every epoch."""
        return self._texts(self.task.labelled)

    def dev_examples(self) -> list[Text]:
        """See :class:`msp.methods.base.Fit`."""
        return self._texts(self.task.dev)

    def loss(self, batch: Sequence[Text], *, share_done: float) -> tuple[Tensor, int]:
        """Return the bound's two terms together, the KL term as heavy as the step wants it."""
        import torch

        from msp.models.cvae import ANNEALED_SHARE

        device = self.module.bias.device
        lengths = torch.tensor([text.length for text in batch], device=device)
        tokens = torch.zeros(len(batch), int(lengths.max()), dtype=torch.int64, device=device)
        for row, text in enumerate(batch):
            tokens[row, : text.length] = torch.tensor(text.tokens, device=device)
        condition = Conditions(self.task).of([text.constraint for text in batch]).to(device)
        beta = min(1.0, share_done / ANNEALED_SHARE)
        reconstruction, divergence = self.module.bound(tokens, lengths, condition, beta=beta)
        return reconstruction + divergence, int(lengths.sum())

    def _texts(self, examples: Sequence[Example]) -> list[Text]:
        ids = self.files.text_ids([" ".join(example.text.split()) for example in examples])
        end = int(self.files.tokenizer.eos_token_id)
        return [
            Text([*tokens, end], constraint_of(example))
            for tokens, example in zip(ids, examples, strict=True)
        ]


def open_cvae_fit(opening: Opening) -> CVAEFit:
    """Return the fit of an autoencoder with random weights."""
    from msp.methods.lm_fit import ADDED_RATE
    from msp.models.lm_files import find_lm

    config = opening.config
    files = find_lm(config.model)
    model = _model(opening, files)
    if config.tune.gpus_per_worker:
        model.to("cuda")
    rate = config.tune.fit_learning_rate or ADDED_RATE
    return CVAEFit(model, rate, opening.task, files)


def with_autoencoder(opening: Opening) -> Writer:
    """Return a writer with the autoencoder as it has learned.

    Raises:
        CheckpointError: it has not learned yet, or with another LM's tokenizer.
    """
    if opening.config.generate.engine == "scripted":
        return UnitWriter(opening.config, opening.task.ontology)
    import torch

    from msp.methods.fit_store import fit_is_saved, load_fit
    from msp.models.lm_files import find_lm

    files = find_lm(opening.config.model)
    model = _model(opening, files)
    if fit_is_saved(opening.store) or not opening.untuned:
        load_fit(opening.store, model, files)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return CVAEWriter(model, files, Conditions(opening.task), opening.config.generate)


def _model(opening: Opening, files: LMFiles) -> ConditionalVAE:
    import torch

    from msp.models.cvae import ConditionalVAE

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(opening.config.seed)
        return ConditionalVAE(len(files.tokenizer), Conditions(opening.task).size)


class CVAEWriter:
    """Writes candidates, each from a z of its own stream; see :class:`msp.methods.base.Writer`.

    Args:
        model: the autoencoder.
        files: the tokenizer.
        conditions: what a unit asks for, as numbers.
        sampling: how tokens are chosen.
    """

    def __init__(
        self,
        model: ConditionalVAE,
        files: LMFiles,
        conditions: Conditions,
        sampling: GenerateConfig,
    ) -> None:
        from msp.engines.hf_text import ending_tokens

        self._model, self._files = model, files
        self._conditions, self._sampling = conditions, sampling
        end = files.tokenizer.eos_token_id
        stop = ending_tokens(files.tokenizer, len(files.tokenizer), ends=end)
        self._stop = stop.to(model.bias.device)
        self._lock = threading.Lock()

    def write(self, units: Sequence[Unit]) -> list[list[Generated]]:
        """Return each unit's ``num_candidates`` texts."""
        import torch

        from msp.engines.decode import decode
        from msp.engines.hf_text import texts_of
        from msp.engines.sampling import stream_ids

        asked = [unit.constraint for unit in units for _ in range(unit.num_candidates)]
        if not asked:
            return [[] for _ in units]
        streams = torch.cat([stream_ids(unit.random_seed, unit.num_candidates) for unit in units])
        device = self._model.bias.device
        with self._lock, torch.inference_mode():
            given = torch.cat([latents(streams), self._conditions.of(asked)], dim=1)
            rows = CVAERows(self._model, given.to(device))
            decoded = decode(rows, streams.to(device), stop=self._stop, sampling=self._sampling)
            texts = texts_of(self._files, decoded)
            return [[next(texts) for _ in range(unit.num_candidates)] for unit in units]

    def take_counts(self) -> dict[str, int]:
        """Return nothing: there is no prompt to count."""
        return {}


class CVAERows:
    """Candidates on their way; see :class:`msp.engines.decode.Rows`.

    Args:
        model: the autoencoder.
        given: [N, Z + C], z and condition of each.
    """

    def __init__(self, model: ConditionalVAE, given: Tensor) -> None:
        import torch

        self._model, self._given = model, given
        self._state = model.begin(given)
        self.logits = self.step(torch.full((len(given),), model.start, device=given.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token [N] to each row and return the logits [N, V] of the next one."""
        logits, self._state = self._model.write(tokens[:, None], self._given, self._state)
        self.logits = logits[:, 0]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but the given [M] int64."""
        self._given, self._state = self._given[rows], self._state[:, rows].contiguous()
        self.logits = self.logits[rows]


def latents(streams: Tensor) -> Tensor:
    """Return z [N, Z] from N(0, 1), each from its own stream, on the CPU."""
    import torch

    from msp.engines.sampling import uniforms
    from msp.models.cvae import LATENT_SIZE

    draws = [uniforms(streams, _LATENT_STEPS + d) for d in range(LATENT_SIZE)]
    # The middle of each step of 2**-24, since 0 has no quantile.
    z: Tensor = torch.special.ndtri(torch.stack(draws, dim=1).double() + 2.0**-25)
    return z.float()
