"""MSP's plan: every seed example asks for texts that carry what it carries, and for new mixtures.

A seen unit's constraint is the seed example's labels, slot values and domain;
exemplars share attributes with it, and the seed example itself stands last in
the context (MSP, arXiv 2303.01580, section 3.2 and its released settings).
"""

from __future__ import annotations

from dataclasses import replace

from msp.config import RunConfig
from msp.errors import ConstraintError, did_you_mean
from msp.methods.base import candidate_stream, unit_rng
from msp.methods.combinations import (
    draw_novel,
    is_compatible,
    is_stand_in,
    make_compatible,
    most_labels,
    unseen_attributes,
)
from msp.methods.fillings import Fillings
from msp.prompts.exemplars import ExemplarPools
from msp.prompts.text import constraint_of
from msp.records import Constraint, Example, Unit
from msp.tasks.base import WRITTEN, TaskData

# Draws before a unit settles for a combination that a seed example has; in a task where
# every pair occurs there may be no other.
_MAX_DRAWS = 64


class MSPPlan:
    """One pass: the seed examples' own combinations, then new ones, each in turn over the seeds.

    A new combination stands for two seed examples, which are both shown as exemplars;
    see :mod:`msp.methods.combinations`.

    Args:
        config: the run's config; ``generate``, ``prompts`` and ``seed`` define the plan.
        task: the task's seed examples and ontology.
        rewrites: plan as many units, but all of them of a seed example's own text.

    Raises:
        ConstraintError: an attribute of ``generate.attributes`` is unknown or no
            seed example carries it, or no seed example carries anything at all.
    """

    round = 0
    first_unit = 0

    def __init__(self, config: RunConfig, task: TaskData, *, rewrites: bool = False) -> None:
        self._maker = UnitMaker(config, task, rewrites=rewrites)
        self._rewrites = rewrites
        generate = config.generate
        self._sources = sources(config, task)
        self._labelled = tuple(example for example in self._sources if example.attributes)
        self._others = (*self._labelled, *unseen_attributes(config, task))
        self._known = {frozenset(example.attributes) for example in task.seeds}
        self._asked = frozenset(generate.attributes or ())
        self._limit = most_labels(task.seeds)
        self._compatible = make_compatible(generate.compatibility, task.seeds)
        seen, novel = generate.units_per_seed_example, generate.novel_units_per_seed_example
        self._num_seen = len(self._sources) * (seen if generate.combinations != "novel" else 0)
        # Labels of two trees make no tree.
        mixable = self._limit > 1 and len(self._labelled) > 1 and task.kind != "parse"
        novel *= mixable and generate.combinations != "seen"
        self.num_units = self._num_seen + len(self._labelled) * novel
        if not self.num_units:
            raise ConstraintError(
                f"generate.combinations is {generate.combinations}, which leaves nothing to plan "
                f"for this task (most labels of a seed example: {self._limit}); use both or seen."
            )

    def unit(self, index: int) -> Unit:
        """Return unit ``index``; see :class:`msp.methods.base.Plan`."""
        if index < self._num_seen:
            turn, place = divmod(index, len(self._sources))
            return self._maker.seen(self._sources[place], index, round=0, turn=turn)
        source = self._labelled[(index - self._num_seen) % len(self._labelled)]
        if self._rewrites:
            return self._maker.seen(source, index, round=0)
        return self._novel_unit(source, index)

    def _novel_unit(self, source: Example, index: int) -> Unit:
        rng = unit_rng("novel", self._maker.seed, index)
        for _ in range(_MAX_DRAWS):
            other, labels = draw_novel(source, self._others, self._limit, rng)
            if self._wanted(labels):
                break
        else:
            other, labels = source, frozenset(source.attributes)
        return self._maker.novel(labels, (other, source), index, round=0)

    def _wanted(self, labels: frozenset[str]) -> bool:
        asked = not self._asked or bool(labels & self._asked)
        return labels not in self._known and asked and is_compatible(labels, self._compatible)


class UnitMaker:
    """Makes units of seed examples: constraint, exemplars and random stream.

    Args:
        config: the run's config.
        task: the task's seed examples and ontology.
        rewrites: each unit asks for its seed example as it is, and carries no other.
    """

    def __init__(self, config: RunConfig, task: TaskData, *, rewrites: bool = False) -> None:
        self._config = config
        self._rewrites = rewrites
        self._ontology = task.ontology
        self._pools = ExemplarPools(task.seeds, config.prompts.exemplar_pool_size)
        self._fillings = Fillings(task)
        # Without a text after the soft prompt nobody can ask for strings; only where they are
        # what is labelled must they be there all the same.
        self._asks_values = config.prompts.has_attributes or task.kind in ("tagging", "parse")
        self.seed = config.seed

    def seen(self, source: Example, unit_id: int, *, round: int, turn: int = 0) -> Unit:
        """Return a unit that asks for what one seed example carries.

        After its first turn it asks for strings of other examples, too, where labels
        stand over words.
        """
        if self._rewrites:
            asked = constraint_of(source)
            if not self._asks_values:
                asked = replace(asked, values={})
            return self._unit(unit_id, asked, (source,), round)
        num_others = max(self._config.prompts.num_exemplars - 1, 0)
        rng = unit_rng("exemplars", self.seed, unit_id)
        others = self._pools.draw(source, num_others, rng=rng)
        swapped = self._fillings.swapped(source, rng) if turn else None
        return self._unit(unit_id, swapped or constraint_of(source), (*others, source), round)

    def novel(
        self, labels: frozenset[str], pair: tuple[Example, Example], unit_id: int, *, round: int
    ) -> Unit:
        """Return a unit that asks for labels of two seed examples; the second is its own.

        Where more exemplars are shown than these, the others are those of a seen unit.
        """
        other, source = pair
        rng = unit_rng("values", self.seed, unit_id)
        values = self._fillings.drawn(labels, pair, rng)
        constraint = Constraint(self._ontology.order(labels), values, source.domain)
        shown = (source,) if other is source or is_stand_in(other) else (other, source)
        num_others = max(self._config.prompts.num_exemplars - len(shown), 0)
        rng = unit_rng("exemplars", self.seed, unit_id)
        drawn = self._pools.draw(source, num_others, rng=rng)
        others = tuple(example for example in drawn if example.uid != other.uid)
        return self._unit(unit_id, constraint, (*others, *shown), round)

    def _unit(
        self, unit_id: int, constraint: Constraint, exemplars: tuple[Example, ...], round: int
    ) -> Unit:
        # What is made over stands in its unit, even where no exemplar is shown.
        num_exemplars = 1 if self._rewrites else self._config.prompts.num_exemplars
        return Unit(
            id=unit_id,
            round=round,
            method=self._config.generate.method,
            seed_uid=exemplars[-1].uid,
            constraint=constraint,
            exemplars=exemplars[-num_exemplars:] if num_exemplars else (),
            num_candidates=self._config.generate.num_candidates_per_unit,
            random_seed=candidate_stream(self.seed, unit_id),
        )


def sources(config: RunConfig, task: TaskData) -> tuple[Example, ...]:
    """Return the seed examples that units are made of: those that carry what is asked for.

    In a task that tags, that is a string for a tag; where answers are written out, all are.

    Raises:
        ConstraintError: as :class:`MSPPlan`.
    """
    asked = config.generate.attributes
    carriers = [example for example in task.seeds if example.attributes or example.values]
    if task.kind in WRITTEN:
        carriers = list(task.seeds)  # there is nothing to carry
    if task.tags:
        # What has no string to ask for gives texts in which every word is outside: slots that
        # the LM writes unasked would be learned as none.
        carriers = [e for e in carriers if {*task.tags} & {*e.values}]
    if not carriers:
        raise ConstraintError(
            f"{config.task.path}: none of the {len(task.seeds)} seed examples carries an "
            "attribute or a slot value, so there is nothing to ask for; label some."
        )
    if asked is None:
        return tuple(carriers)
    known = [attribute.name for attribute in task.ontology.all]
    carried = {name for example in carriers for name in (*example.attributes, *example.values)}
    for name in asked:
        if name not in known:
            raise ConstraintError(
                f"generate.attributes names {name!r}, which is not in the ontology"
                f"{did_you_mean(name, known)}"
            )
        if name not in carried:
            raise ConstraintError(
                f"generate.attributes asks for {name!r}, but no seed example carries it; "
                "add a seed example of it or leave it out."
            )
    return tuple(e for e in carriers if set(asked) & {*e.attributes, *e.values})
