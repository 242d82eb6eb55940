"""PromptMix's plan: groups of classes, and texts that are of one and a little of another.

Texts near the boundary between two classes teach a student where it runs
(PromptMix, arXiv 2310.14192, section 3.1). A unit asks for class A, mixed with a
partner B of A's group: the share of A is ``alpha = 0.5 + 0.5 Beta(5, 2)``. What a
text became is asked of the frozen LM afterwards: :mod:`msp.denoise.relabel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from msp.config import PromptMixConfig, RunConfig
from msp.errors import ConfigError, ConstraintError
from msp.methods.base import candidate_stream, unit_rng
from msp.methods.msp import sources
from msp.records import Attribute, Constraint, Example, Mix, Unit
from msp.tasks.base import TaskData

_ALPHA_STEPS = 20  # of 0.05

# The rungs of the paper's ladder that show a group of classes, that mix two of them, that
# have no seed example to show, and that say nothing of a class but its description.
_GROUPED = frozenset({"no_mixing", "mixing", "zero_shot_mixing"})
_MIXING = frozenset({"mixing", "zero_shot_mixing"})
_ZERO_SHOT = frozenset({"zero_shot_mixing"})
_NEEDS_DESCRIPTION = frozenset({"described", "zero_shot_mixing"})


def draw_alpha(config: PromptMixConfig, rng: np.random.Generator) -> float:
    """Return the share of a text's first class: 0.5 to 1 in steps of 0.05, or one of ``alphas``.

    ``0.5 + 0.5 Beta(5, 2)`` has its mean at 0.86: most texts are clearly of their
    class, and some are hardly (PromptMix, section 3.1).
    """
    if config.alphas is not None:
        return config.alphas[int(rng.integers(len(config.alphas)))]
    share = 0.5 + 0.5 * float(rng.beta(5, 2))
    return round(share * _ALPHA_STEPS) / _ALPHA_STEPS


class Groups:
    """Random partitions of the classes into groups; partition ``n`` is the same everywhere.

    Args:
        classes: by name, in the ontology's order.
        size: of a group; the last one of a partition is filled up from the first.
        seed: of the draws.
    """

    def __init__(self, classes: Sequence[str], size: int, seed: int) -> None:
        self._classes = tuple(classes)
        self._size = min(size, len(self._classes))
        self._seed = seed
        # Units of one partition are asked for one after the other.
        self._partition = lru_cache(maxsize=8)(self._drawn)

    def of(self, name: str, number: int) -> tuple[str, ...]:
        """Return the group that a class is in, in partition ``number``."""
        line = self._partition(number)
        start = line.index(name) // self._size * self._size
        group = line[start : start + self._size]
        return (*group, *line[: self._size - len(group)])

    def _drawn(self, number: int) -> tuple[str, ...]:
        order = unit_rng("promptmix groups", self._seed, number).permutation(len(self._classes))
        return tuple(self._classes[place] for place in order.tolist())


class MixMaker:
    """Makes units that ask for a text between two classes: group, partner, share and exemplars.

    Args:
        config: the run's config.
        task: its seed examples have one label each.

    Raises:
        ConfigError: texts of the task have several labels, or words are what is labelled.
        ConstraintError: fewer than two classes have seed examples, or a class has no
            description where the context shows nothing else of it.
    """

    def __init__(self, config: RunConfig, task: TaskData) -> None:
        self._config, self._mix = config, config.generate.promptmix
        self.seed = config.seed
        self.examples = _by_class(config, task)
        _check_descriptions(self._mix.variant, [*self.examples], task.ontology.attributes)
        self._groups = Groups([*self.examples], self._mix.classes_per_group, config.seed)

    def seen(self, source: Example, unit_id: int, *, round: int, turn: int = 0) -> Unit:
        """Return a unit of a seed example's class, in a group that is the unit's own."""
        return self.unit(source, unit_id, round=round, partition=unit_id)

    def unit(self, source: Example, unit_id: int, *, round: int, partition: int) -> Unit:
        """Return a unit of a seed example's class, in the class's group of a partition.

        The seed example stands last where exemplars are shown, and is what similarity is
        measured to in any case.
        """
        rng = unit_rng("promptmix", self.seed, unit_id)
        mix = self._drawn_mix(source.attributes[0], partition, rng)
        generate = self._config.generate
        return Unit(
            id=unit_id,
            round=round,
            method=generate.method,
            seed_uid=source.uid,
            constraint=Constraint(source.attributes, {}, source.domain),
            exemplars=self._exemplars(source, mix, rng),
            num_candidates=generate.num_candidates_per_unit,
            random_seed=candidate_stream(self.seed, unit_id),
            mix=mix,
        )

    def _drawn_mix(self, name: str, partition: int, rng: np.random.Generator) -> Mix:
        if self._mix.variant not in _GROUPED:
            return Mix(None, 1.0, (name,))
        others = [other for other in self._groups.of(name, partition) if other != name]
        if self._mix.variant not in _MIXING:
            return Mix(None, 1.0, (*others, name))
        partner = others.pop(int(rng.integers(len(others))))
        return Mix(partner, draw_alpha(self._mix, rng), (*others, partner, name))

    def _exemplars(
        self, source: Example, mix: Mix, rng: np.random.Generator
    ) -> tuple[Example, ...]:
        """Return the group's seed examples, class by class, the unit's own at the very end."""
        number = 0 if self._mix.variant in _ZERO_SHOT else self._mix.exemplars_per_class
        shown: list[Example] = []
        for name in mix.group[:-1]:
            shown += _draw(self.examples[name], number, rng)
        if number:
            own = [e for e in self.examples[mix.group[-1]] if e.text != source.text]
            shown += [*_draw(own, number - 1, rng), source]
        return tuple(shown)


class PromptMixPlan:
    """One pass: ``texts_per_class`` candidates of each class, all classes in every turn.

    Args:
        config: the run's config; ``generate.promptmix`` and ``seed`` define the plan.
        task: the task's seed examples and ontology.

    Raises:
        ConfigError: as :class:`MixMaker`.
        ConstraintError: likewise, or ``generate.attributes`` asks for what there is not.
    """

    round = 0
    first_unit = 0

    def __init__(self, config: RunConfig, task: TaskData) -> None:
        self._maker = MixMaker(config, task)
        asked = {example.attributes[0] for example in sources(config, task)}
        self._classes = [name for name in self._maker.examples if name in asked]
        generate = config.generate
        turns = -(-generate.promptmix.texts_per_class // generate.num_candidates_per_unit)
        self.num_units = turns * len(self._classes)

    def unit(self, index: int) -> Unit:
        """Return unit ``index``; see :class:`msp.methods.base.Plan`."""
        turn, place = divmod(index, len(self._classes))
        examples = self._maker.examples[self._classes[place]]
        source = examples[turn % len(examples)]
        return self._maker.unit(source, index, round=0, partition=turn)


def _by_class(config: RunConfig, task: TaskData) -> Mapping[str, tuple[Example, ...]]:
    """Return the classes that have seed examples -> these, in the ontology's order."""
    if task.kind != "single_label":
        raise ConfigError(
            f"generate.method is {config.generate.method}, which asks for texts between two "
            f"classes, but {config.task.name} is no task with one class a text ({task.kind}); use "
            "msp, or for a jsonl task whose texts have one label each set task.predict to label."
        )
    found = {
        attribute.name: tuple(e for e in task.seeds if attribute.name in e.attributes)
        for attribute in task.ontology.attributes
    }
    classes = {name: examples for name, examples in found.items() if examples}
    if len(classes) < 2:
        raise ConstraintError(
            f"generate.method is {config.generate.method}, which needs two classes or more with "
            f"seed examples, but {config.task.path} has {len(classes)} ({', '.join(classes)}); "
            "label seed examples of another."
        )
    return classes


def _check_descriptions(
    variant: str, classes: Sequence[str], attributes: Sequence[Attribute]
) -> None:
    if variant not in _NEEDS_DESCRIPTION:
        return
    for attribute in attributes:
        if attribute.name in classes and not attribute.is_described:
            raise ConstraintError(
                f"generate.promptmix.variant is {variant}, which tells the LM what a class is by "
                f"its description, but class {attribute.name!r} has none; write one into the "
                "ontology, or use one_class, no_mixing or mixing."
            )


def _draw(examples: Sequence[Example], number: int, rng: np.random.Generator) -> list[Example]:
    drawn = rng.permutation(len(examples))[:number].tolist()
    return [examples[place] for place in drawn]
