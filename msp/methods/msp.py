"""MSP's plan: every seed example asks for texts that carry what it carries, and for new mixtures.

A seen unit's constraint is the seed example's labels, slot values and domain;
exemplars share attributes with it, and the seed example itself stands last in
the context (MSP, arXiv 2303.01580, section 3.2 and its released settings).
"""

from __future__ import annotations

import numpy as np

from msp.config import RunConfig
from msp.errors import ConstraintError, did_you_mean
from msp.methods.base import candidate_stream, unit_rng
from msp.prompts.exemplars import ExemplarPools
from msp.records import Constraint, Example, Unit
from msp.tasks.base import TaskData

# Draws before a unit settles for a combination that a seed example has; in a task where
# every pair occurs there may be no other.
_MAX_DRAWS = 64


class MSPPlan:
    """First the seed examples' own combinations, then new ones, each in turn over the seeds.

    A new combination is one or two labels of one seed example with one label of
    another, which no seed example carries together; both stand in the context
    as exemplars.

    Args:
        config: the run's config; ``generate``, ``prompts`` and ``seed`` define the plan.
        task: the task's seed examples and ontology.

    Raises:
        ConstraintError: an attribute of ``generate.attributes`` is unknown or no
            seed example carries it, or no seed example carries anything at all.
    """

    def __init__(self, config: RunConfig, task: TaskData) -> None:
        self._config = config
        self._ontology = task.ontology
        self._sources = _sources(config, task)
        self._labelled = tuple(example for example in self._sources if example.attributes)
        self._known = {frozenset(example.attributes) for example in task.seeds}
        self._asked = frozenset(config.generate.attributes or ())
        self._pools = ExemplarPools(task.seeds, config.prompts.exemplar_pool_size)
        generate = config.generate
        self._num_seen = len(self._sources) * generate.units_per_seed_example
        num_novel = len(self._labelled) * generate.novel_units_per_seed_example
        self.num_units = self._num_seen + (num_novel if len(self._labelled) > 1 else 0)

    def unit(self, unit_id: int) -> Unit:
        """Return unit ``unit_id``; see :class:`msp.methods.base.Plan`."""
        if unit_id < self._num_seen:
            return self._seen_unit(unit_id)
        return self._novel_unit(unit_id)

    def _seen_unit(self, unit_id: int) -> Unit:
        source = self._sources[unit_id % len(self._sources)]
        num_others = max(self._config.prompts.num_exemplars - 1, 0)
        rng = unit_rng("exemplars", self._config.seed, unit_id)
        others = self._pools.draw(source, num_others, rng=rng)
        constraint = Constraint(source.attributes, source.values, source.domain)
        return self._unit(unit_id, constraint, (*others, source))

    def _novel_unit(self, unit_id: int) -> Unit:
        rng = unit_rng("novel", self._config.seed, unit_id)
        source = self._labelled[(unit_id - self._num_seen) % len(self._labelled)]
        for _ in range(_MAX_DRAWS):
            other, labels = self._draw_combination(source, rng)
            if labels not in self._known and (not self._asked or labels & self._asked):
                break
        else:
            other, labels = source, frozenset(source.attributes)
        constraint = Constraint(self._ontology.order(labels), {}, source.domain)
        exemplars = (source,) if other is source else (other, source)
        return self._unit(unit_id, constraint, exemplars)

    def _draw_combination(
        self, source: Example, rng: np.random.Generator
    ) -> tuple[Example, frozenset[str]]:
        other = self._labelled[int(rng.integers(len(self._labelled)))]
        num_own = min(int(rng.integers(1, 3)), len(source.attributes))
        own = rng.choice(len(source.attributes), num_own, replace=False)
        borrowed = other.attributes[int(rng.integers(len(other.attributes)))]
        return other, frozenset([*(source.attributes[i] for i in own), borrowed])

    def _unit(self, unit_id: int, constraint: Constraint, exemplars: tuple[Example, ...]) -> Unit:
        num_exemplars = self._config.prompts.num_exemplars
        return Unit(
            id=unit_id,
            round=0,
            method="msp",
            seed_uid=exemplars[-1].uid,
            constraint=constraint,
            exemplars=exemplars[-num_exemplars:] if num_exemplars else (),
            num_candidates=self._config.generate.num_candidates_per_unit,
            random_seed=candidate_stream(self._config.seed, unit_id),
        )


def _sources(config: RunConfig, task: TaskData) -> tuple[Example, ...]:
    asked = config.generate.attributes
    carriers = [example for example in task.seeds if example.attributes or example.values]
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
