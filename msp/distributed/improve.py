"""The loop from its config to its report: each round is a run, measured, and planned from before.

All that it knows lies under its output: a plan is written before a round, what it
took and its measurement after it, each once. So a loop that was killed anywhere goes on
with what is missing, and no round is made, or measured, twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msp.config import RunConfig, short_hash, with_absolute_paths
from msp.distributed import placement
from msp.distributed.node_meter import metered
from msp.distributed.probe import Probe
from msp.distributed.run import identified, run_stage
from msp.improve.config import ImproveConfig
from msp.improve.crossfit import Kept, make_folds
from msp.improve.decide import check_budget, chosen_round, decide
from msp.improve.material import (
    kept_of_run,
    kept_with_views,
    unit_of,
    views_from_json,
    views_of_run,
    views_to_json,
)
from msp.improve.measure import Measure
from msp.improve.page import INDEX_HTML, Loop, write_pages
from msp.improve.plan import PlannedRound, plan_round, round_config
from msp.improve.records import (
    measure_key,
    plan_key,
    read_measures,
    read_plans,
    read_spents,
    spent_key,
    views_key,
)
from msp.improve.spent import read_spent
from msp.progress import console
from msp.review.gold import load_reviewed_task
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.lease import held
from msp.storage.run_record import open_run
from msp.storage.store import ObjectStore, check_store, open_run_store
from msp.students.examples import draw_sample
from msp.tasks.base import TaskData


def improve(config: ImproveConfig) -> dict[str, Any]:
    """Return what a loop came to, once it has ended and its page is written.

    Returns:
        ``output_uri``, ``page``, ``num_rounds``, ``ended`` (why), ``dev`` (score by round),
        ``chosen`` (round) and, where test was scored, its ``report`` and headline scores.

    Raises:
        UserError: the config cannot work, or the output holds another loop; nothing was run.
        HeldError: another loop that is alive writes to the same output.
    """
    looping = _open(config)
    with held(looping.store):
        _record(looping)
        placement.connect(looping.run.cluster)
        with metered(looping.run, looping.store):
            return looping.go()


def _open(config: ImproveConfig) -> _Looping:
    run = with_absolute_paths(config.run_config())
    # The path was relative to where the loop was started.
    config = config.model_copy(update={"output_uri": run.output_uri})
    task = load_reviewed_task(run)
    check_budget(config, task.seeds)
    looping = _Looping(config, run, task, open_run_store(run))
    make_folds(task, config.measure, seed=run.seed)
    check_store(looping.store)
    return looping


def _record(looping: _Looping) -> None:
    """Write which loop this is, or find there that it is the same one.

    Raises:
        ConfigError: another one is there; names the keys that differ.
    """
    config, run = looping.config, looping.run
    identity = {
        f"base.{key}": value
        for key, value in identified(run, looping.task).identity.items()
        # People decide between rounds; each round notes whose decisions it counts.
        if key not in ("task.reviewed", "parent")
    }
    own = ("candidates_per_round", "policy", "measure", "share_explored")
    chosen = config.model_dump(mode="json", include=set(own))
    identity |= {key: short_hash(json.dumps(chosen[key], sort_keys=True)) for key in own}
    tree = {**config.model_dump(mode="json"), "base": run.model_dump(mode="json")}
    open_run(looping.store, config=tree, fingerprint=identity, versions={})


@dataclass
class _Looping:
    """A loop under way.

    Args:
        config: the loop's.
        run: of any round, but for what is the round's own; paths absolute.
        task: with its seed examples, reviewed ones included.
        store: the loop's.
    """

    config: ImproveConfig
    run: RunConfig
    task: TaskData
    store: ObjectStore

    def go(self) -> dict[str, Any]:
        """Return what the loop came to once it has ended."""
        if not self.store.exists(measure_key(0)):
            self._measure(0)
        while True:
            loop = self._loop()
            verdict = decide(self.config, loop.measures, loop.spent)
            _say(f"improve: round {loop.measures[-1].number}: {verdict.said}")
            write_pages(self.store, loop)
            if verdict.end is not None:
                break
            self._round(self._planned(loop))
        _say(f"improve: ended: {verdict.end}")
        return self._finish(self._loop(ended=verdict.end))

    def _loop(self, *, ended: str | None = None, figures: Any = None) -> Loop:
        """Return the loop as the store has it."""
        return Loop(
            self.config,
            tuple(read_measures(self.store)),
            tuple(read_plans(self.store)),
            tuple(read_spents(self.store)),
            words={a.name: a.words for a in self.task.ontology.all},
            notes=self.task.notes,
            ended=ended,
            figures=figures,
        )

    def _planned(self, loop: Loop) -> PlannedRound:
        """Return the next round's plan as the store has it: this one, unless one is there."""
        number = len(loop.measures)
        if not self.store.exists(plan_key(number)):
            before = loop.plans[number - 2] if number > 1 else None
            planned = plan_round(
                self.config, self.task, loop.measures[-1], loop.spent, before=before
            )
            self.store.write_once(plan_key(number), planned.to_json())
        return PlannedRound.from_json(read_json(self.store, plan_key(number)))

    def _round(self, planned: PlannedRound) -> None:
        """Make a round's run and measure it; each step that is done is not done again."""
        number = planned.number
        config = with_absolute_paths(round_config(self.config, planned))
        store = open_run_store(config)
        _say(f"improve: round {number}: {planned.num_units} units, to {store.uri}")
        run_stage("generate", config, start_seconds=0.0)
        self._once(spent_key(number), lambda: read_spent(store, number).to_json())
        self._once(views_key(number), lambda: self._views(config, store))
        run_stage("report", config, start_seconds=0.0)
        self._measure(number)

    def _once(self, key: str, make: Callable[[], bytes]) -> None:
        if not self.store.exists(key):
            self.store.write_once(key, make())

    def _views(self, config: RunConfig, store: ObjectStore) -> bytes:
        task = load_reviewed_task(config)
        units = map(unit_of, kept_of_run(store))
        return views_to_json(views_of_run(config, task, store, units))

    @cached_property
    def _probe(self) -> Probe:
        measure = self.config.measure
        folds = make_folds(self.task, measure, seed=self.run.seed)
        return Probe(self.run, self.task, folds, measure.trainings)

    def _measure(self, number: int) -> Measure:
        measured = self._probe.measure(number, self._kept(number))
        self.store.write_once(measure_key(number), measured.to_json())
        return measured

    def _kept(self, number: int) -> list[Kept]:
        """Return what all rounds up to one have kept, or as much of it as a training draws."""
        found = (
            kept
            for plan in read_plans(self.store)[:number]
            for kept in kept_with_views(
                open_run_store(round_config(self.config, plan)),
                views_from_json(read_json(self.store, views_key(plan.number))),
                self.task,
            )
        )
        student = self.run.student
        room = student.num_steps * student.batch_size
        return draw_sample(found, room, self.run.seed)[0]

    def _finish(self, loop: Loop) -> dict[str, Any]:
        """Return the loop's headline, with the chosen round's test scores where they are wanted."""
        chosen = chosen_round(loop.measures)
        scores: dict[str, Any] = {}
        figures = None
        if self.config.score_test and chosen:
            config = round_config(self.config, loop.plans[chosen - 1])
            scores = run_stage("run", config, start_seconds=0.0)
            figures = read_json(open_run_store(with_absolute_paths(config)), layout.METRICS_JSON)
        write_pages(self.store, self._loop(ended=loop.ended, figures=figures))
        return {
            "stage": "improve",
            "output_uri": self.store.uri,
            "page": f"{self.store.uri}/{INDEX_HTML}",
            "num_rounds": len(loop.plans),
            "ended": loop.ended,
            "dev": [round(measure.score, 2) for measure in loop.measures],
            "chosen": chosen,
            **{key: scores[key] for key in ("report", "seed_only", "augmented") if key in scores},
        }


def _say(words: str) -> None:
    console().print(words, markup=False)
