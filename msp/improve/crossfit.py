"""What students are trained and scored on when a round is measured, never on test examples.

A few dozen examples are all that there is, and a fifth of them, as dev, tells
nothing apart. So seed and dev examples take turns: each is scored by students
of the other seed examples, and of what was written without it in view. Prompts and
the filter's classifier have seen it, which no round is spared; what rounds
differ by is what they wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from msp.errors import ConfigError
from msp.improve.config import MeasureConfig
from msp.records import Example
from msp.tasks.base import TaskData
from msp.tasks.sampling import deal, names_of

# From so many dev examples on they are enough by themselves: the 95 % interval of a score is
# then within about 5 points.
_ENOUGH_DEV = 200
_REVIEWED = "reviewed:"


@dataclass(frozen=True, slots=True)
class Kept:
    """A synthetic example, and the uids of the real ones that were in view when it was written."""

    example: Example
    in_view: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fold:
    """Examples that are scored, and the real ones that students learn from meanwhile."""

    held: tuple[Example, ...]
    training: tuple[Example, ...]

    def allowed(self, kept: Iterable[Kept]) -> Iterator[Example]:
        """Yield the synthetic examples that were written with none of the held ones in view."""
        uids = {example.uid for example in self.held}
        return (one.example for one in kept if not one.in_view & uids)

    @property
    def known(self) -> frozenset[str]:
        """The labels and slots that students can have learned: those of a training example.

        What is written for a label has an example of it in view, so where its only one is
        held out, nothing teaches it, however much is generated.
        """
        return frozenset(name for example in self.training for name in names_of(example))


def make_folds(task: TaskData, config: MeasureConfig, *, seed: int) -> list[Fold]:
    """Return the folds of a measurement; one where the dev examples are enough.

    What reviewers accepted is learned from in every fold and scored in none.

    Raises:
        ConfigError: there are too few examples to measure anything by.
    """
    if config.on == "dev" or (config.on == "auto" and len(task.dev) >= _ENOUGH_DEV):
        if not task.dev:
            raise ConfigError(
                "measure.on is dev, but the task has no dev example; give some, or use crossfit."
            )
        return [Fold(task.dev, task.seeds)]
    pool = (*(e for e in task.seeds if not e.uid.startswith(_REVIEWED)), *task.dev)
    if len(pool) < 2 * config.folds:
        raise ConfigError(
            f"measure.folds is {config.folds}, but there are {len(pool)} seed and dev examples; "
            "a fold needs two or more, so use fewer folds, or label more."
        )
    dealt = deal(pool, config.folds, seed=seed)
    return [Fold(held, _without(task.seeds, held)) for held in dealt if held]


def _without(seeds: Sequence[Example], held: Sequence[Example]) -> tuple[Example, ...]:
    uids = {example.uid for example in held}
    return tuple(example for example in seeds if example.uid not in uids)


def pooled(task: TaskData, folds: Sequence[Fold]) -> TaskData:
    """Return the task with all that is ever learned from or scored as its seeds, and no test."""
    found = {e.uid: e for fold in folds for e in (*fold.training, *fold.held)}
    return replace(task, seeds=tuple(found.values()), dev=(), test=())
