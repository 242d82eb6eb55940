"""MSP's plan: every seed example asks for texts that carry what it carries.

The constraint is the seed example's labels, slot values and domain; exemplars
share attributes with it, and the seed example itself stands last in the
context (MSP, arXiv 2303.01580, section 3.2 and its released settings).
"""

from __future__ import annotations

from msp.config import RunConfig
from msp.errors import ConstraintError, did_you_mean
from msp.methods.base import candidate_stream, unit_rng
from msp.prompts.exemplars import choose_exemplars
from msp.records import Constraint, Example, Unit
from msp.tasks.base import TaskData


class MSPPlan:
    """Units in turn over the seed examples, ``units_per_seed_example`` times.

    Args:
        config: the run's config; ``generate``, ``prompts`` and ``seed`` define the plan.
        task: the task's seed examples and ontology.

    Raises:
        ConstraintError: an attribute of ``generate.attributes`` is unknown or no
            seed example carries it, or no seed example carries anything at all.
    """

    def __init__(self, config: RunConfig, task: TaskData) -> None:
        self._config = config
        self._seeds = task.seeds
        self._sources = _sources(config, task)
        self.num_units = len(self._sources) * config.generate.units_per_seed_example

    def unit(self, unit_id: int) -> Unit:
        """Return unit ``unit_id``; see :class:`msp.methods.base.Plan`."""
        source = self._sources[unit_id % len(self._sources)]
        prompts, seed = self._config.prompts, self._config.seed
        exemplars: tuple[Example, ...] = ()
        if prompts.num_exemplars:
            others = choose_exemplars(
                source,
                self._seeds,
                num=prompts.num_exemplars - 1,
                pool_size=prompts.exemplar_pool_size,
                rng=unit_rng("exemplars", seed, unit_id),
            )
            exemplars = (*others, source)
        return Unit(
            id=unit_id,
            round=0,
            method="msp",
            seed_uid=source.uid,
            constraint=Constraint(source.attributes, source.values, source.domain),
            exemplars=exemplars,
            num_candidates=self._config.generate.num_candidates_per_unit,
            random_seed=candidate_stream(seed, unit_id),
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
