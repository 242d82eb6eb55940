"""What every method gives: a plan, a function of config, seeds and unit number; and a writer.

Shards cut the plan into pieces that commit together. A shard's number, like a
unit's, means the same thing in every process and after every restart, which is
what makes a run exactly-once without a ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from msp.config import RunConfig
from msp.records import Generated, Unit
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData

if TYPE_CHECKING:
    from torch import Tensor, nn


class Plan(Protocol):
    """The work of one round: ``unit(i)`` for ``0 <= i < num_units``, the same in every process.

    ``round`` is its number, and ``first_unit`` the id of its unit 0: ids go on
    from round to round.
    """

    round: int
    first_unit: int
    num_units: int

    def unit(self, index: int) -> Unit:
        """Return the round's unit ``index``: a function of config, seeds and the round's record."""
        ...


class Writer(Protocol):
    """Writes the candidates of units; lives in a generator as long as that does."""

    def write(self, units: Sequence[Unit]) -> list[list[Generated]]:
        """Return each unit's ``num_candidates`` raw texts, in the units' order.

        A text follows from its unit and its place in it alone, whatever was written before.

        Raises:
            GenerationError: it cannot write any more.
        """
        ...

    def take_counts(self) -> dict[str, int]:
        """Return what was counted since this was last asked; see :class:`msp.engines.base.Engine`.

        Empty for what counts nothing.
        """
        ...


@dataclass(frozen=True)
class Opening:
    """What a method opens its writer from.

    Args:
        config: the run's config, paths absolute.
        task: the task's seed examples and ontology.
        store: the run's; what was learned before is there.
        untuned: whether what is not there may be taken as it is before anything is learned
            (a preview).
    """

    config: RunConfig
    task: TaskData
    store: ObjectStore
    untuned: bool = False


class Fit(Protocol):
    """A model that a method learns before it writes, and how; who trains it knows no more.

    Its parameters that ask for a gradient learn, in float32, and are all that is kept.
    """

    @property
    def module(self) -> nn.Module:
        """What learns, and perhaps more that does not."""
        ...

    @property
    def learning_rate(self) -> float:
        """The highest one, of all that learns."""
        ...

    def examples(self, epoch: int) -> Sequence[Any]:
        """Return an epoch's examples, each with its ``length``: a function of seeds and epoch."""
        ...

    def dev_examples(self) -> Sequence[Any]:
        """Return what chooses the best epoch; none where the task has no dev examples."""
        ...

    def loss(self, batch: Sequence[Any], *, share_done: float) -> tuple[Tensor, int]:
        """Return the batch's summed loss in nats, with its gradient, and its target tokens.

        Args:
            batch: of :meth:`examples`.
            share_done: of all planned steps, 0 to 1; 1 where it only measures.
        """
        ...


@dataclass(frozen=True)
class Method:
    """One way of making candidates; plan, engines, filter, store and students are everybody's.

    Args:
        open_writer: opens what writes; imports what is heavy itself.
        tunes_prompts: whether soft prompts are tuned before it writes.
        rewrites: whether a candidate is a seed example's own text made over. Such a text carries
            that example's labels, so no new combination is planned.
        planned: the config as the plan reads it, where the method shows what it shows its own way.
        check: passes where what it writes with, beside the frozen LM, is there and fits the task.
        checkpoints: settings of ``generate`` that name checkpoints; their content defines a run.
        open_fit: opens the model that it learns for itself, if it does; imports what is
            heavy itself.
        writes_questions: whether it can write questions with options, too.
        is_direct: whether what it learns answers the task itself. Then nothing is generated,
            and its answers stand where the augmented student's would.
    """

    open_writer: Callable[[Opening], Writer]
    tunes_prompts: bool = False
    rewrites: bool = False
    planned: Callable[[RunConfig], RunConfig] = lambda config: config
    check: Callable[[RunConfig, TaskData], None] = lambda config, task: None
    checkpoints: tuple[str, ...] = ()
    open_fit: Callable[[Opening], Fit] | None = None
    writes_questions: bool = False
    is_direct: bool = False


def unit_key(*parts: object) -> int:
    """Return 128 bits that depend on the parts' text alone: the root of a unit's randomness."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def unit_rng(*parts: object) -> np.random.Generator:
    """Return a counter-based generator for the parts; no other unit shares its stream."""
    return np.random.Generator(np.random.Philox(key=unit_key(*parts)))


def candidate_stream(*parts: object) -> int:
    """Return the start of a unit's candidate streams: 47 random bits above 16 zero ones.

    Candidate k draws from ``start + k``, so streams of one unit never meet
    those of another, and the number stays a positive int64.
    """
    return (unit_key("candidates", *parts) & (2**47 - 1)) << 16


def num_shards(num_units: int, units_per_shard: int) -> int:
    """Return how many shards hold ``num_units`` units."""
    return -(-num_units // units_per_shard)


def shard_units(shard: int, units_per_shard: int, num_units: int) -> range:
    """Return the indices of a shard's units in their round; the last shard may be short."""
    return range(shard * units_per_shard, min((shard + 1) * units_per_shard, num_units))
