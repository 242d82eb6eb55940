"""The student as signal: which cut, quota and weight of synthetic data a quick probe likes best.

Ray Tune draws settings; each trial filters a finished run's candidates anew, trains
heads on cached embeddings, cross-fitted, and is judged by their score on real
examples. Test examples are not looked at.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from msp.config import RunConfig
from msp.distributed import placement
from msp.distributed.probe import Probe
from msp.distributed.run import open_checked, record
from msp.errors import ConfigError
from msp.improve.config import MeasureConfig
from msp.improve.crossfit import make_folds
from msp.improve.material import views_of_run
from msp.improve.measure import Measure, gain, score_interval
from msp.improve.rejudge import Choice, JudgedUnit, judged_units, kept_under
from msp.progress import console
from msp.report.wording import decimal, signed
from msp.storage import layout
from msp.storage.lease import held
from msp.tasks.base import TaskData

_KEY = f"{layout.STATE_PREFIX}search.json"
# The winner is measured again with other initial weights: some of its lead was theirs.
_FRESH_SEEDS = 1000
_MAX_CUT = 1.0


@dataclass(frozen=True)
class _Trial:
    """What every trial has: the run, its candidates, and a probe that has met their texts."""

    config: RunConfig
    units: tuple[JudgedUnit, ...]
    views: dict[int, frozenset[str]]
    probe: Probe

    def measure(self, choice: Choice) -> Measure:
        """Return the measurement of the students under some settings."""
        kept = kept_under(choice, self.config, self.units, self.views)
        return self.probe.measure(0, kept, synthetic_weight=choice.synthetic_weight)


def search_settings(config: RunConfig, *, num_trials: int, hours: float | None) -> dict[str, Any]:
    """Return which settings the probe likes best, beside those that the run has.

    Args:
        config: of a run that has generated.
        num_trials: settings that are tried.
        hours: after which no further one is; None: no limit.

    Returns:
        ``present`` and ``best`` (settings and score), ``gain`` of the best with its interval,
        measured with other initial weights, ``clear`` (whether it cannot be luck), and ``set``,
        the overrides to use: none where it can.

    Raises:
        ConfigError: the run has not generated, or there are too few examples to measure by.
    """
    run = open_checked(config)
    if not run.store.exists(layout.MANIFEST):
        raise ConfigError(
            f"{run.store.uri} has no finished data set, so there is nothing to filter otherwise; "
            "run msp generate with this config first."
        )
    with held(run.store):
        record(run)
        placement.connect(run.config.cluster)
        trial = _prepared(run.config, run.task, tuple(judged_units(run.store)))
        started = time.monotonic()
        trials = _searched(trial, num_trials=num_trials, hours=hours)
        found = _weighed(trial, trials)
        found["seconds"] = round(time.monotonic() - started, 1)
        run.store.write(_KEY, json.dumps({**found, "trials": trials}, indent=1).encode())
    _say(found, len(trials))
    return {"stage": "search", "output_uri": run.store.uri, **found}


def _prepared(config: RunConfig, task: TaskData, units: tuple[JudgedUnit, ...]) -> _Trial:
    from msp.storage.store import open_run_store

    measure = MeasureConfig()
    folds = make_folds(task, measure, seed=config.seed)
    probe = Probe(config, task, folds, measure.trainings)
    store = open_run_store(config)
    views = views_of_run(config, task, store, (unit.unit_id for unit in units))
    seen = {unit_id: frozenset(uids) for unit_id, uids in views.items()}
    everything = Choice(float("inf"), max(len(unit.examples) for unit in units), 1.0)
    probe.embed(kept_under(everything, config, units, seen))
    return _Trial(config, units, seen, probe.local())


def _searched(trial: _Trial, *, num_trials: int, hours: float | None) -> list[dict[str, Any]]:
    """Return every trial's settings and score, that of the present settings first."""
    present = Choice.of(trial.config)
    quotas = sorted({present.num_kept_per_unit, 2, 4, 8})
    most = trial.config.generate.num_candidates_per_unit
    space = {
        "max_noise_score": tune.uniform(_lowest_cut(trial.units), _MAX_CUT),
        "num_kept_per_unit": tune.choice([quota for quota in quotas if quota <= most]),
        "synthetic_weight": tune.loguniform(0.1, 4.0),
    }
    shared = ray.put(trial)

    def score(settings: dict[str, Any]) -> dict[str, float]:
        return {"score": ray.get(shared).measure(Choice(**settings)).score}

    with tempfile.TemporaryDirectory(prefix="msp-search-") as folder, placement.ours_out_of_rays():
        tuner = tune.Tuner(
            tune.with_resources(score, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="score",
                mode="max",
                num_samples=num_trials,
                time_budget_s=hours * 3600 if hours else None,
                search_alg=tune.search.BasicVariantGenerator(
                    points_to_evaluate=[present.as_json()], random_state=trial.config.seed
                ),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = [result for result in tuner.fit() if result.metrics and not result.error]
    return [{**(r.config or {}), "score": (r.metrics or {})["score"]} for r in results]


def _lowest_cut(units: tuple[JudgedUnit, ...]) -> float:
    """Return the noise score below which a twentieth of the candidates are: less is too little."""
    scores = sorted(score for unit in units for score in unit.noise_scores)
    return min(scores[len(scores) // 20], _MAX_CUT - 0.01)


def _weighed(trial: _Trial, trials: list[dict[str, Any]]) -> dict[str, Any]:
    best = max(trials, key=lambda found: float(found["score"]))
    choice = Choice(**{key: value for key, value in best.items() if key != "score"})
    fresh = _Trial(
        trial.config, trial.units, trial.views, trial.probe.local(seed_offset=_FRESH_SEEDS)
    )
    present = fresh.measure(Choice.of(trial.config))
    chosen = fresh.measure(choice)
    lead = gain(present, chosen)
    clear = lead.low > 0
    shown = score_interval(present)
    return {
        "num_trials": len(trials),
        "num_examples": len(present.uids),
        "present": {
            **Choice.of(trial.config).as_json(),
            "score": present.score,
            "interval": [shown.low, shown.high],
        },
        "best": {**choice.as_json(), "score": chosen.score, "score_in_search": best["score"]},
        "gain": {"value": lead.value, "low": lead.low, "high": lead.high},
        "clear": clear,
        "set": choice.overrides() if clear else [],
    }


def _say(found: dict[str, Any], num_trials: int) -> None:
    lead = found["gain"]
    between = f"{signed(lead['low'])} to {signed(lead['high'])}"
    words = (
        f"search: {num_trials} settings; dev F1 {decimal(found['present']['score'])} with the "
        f"present ones, {decimal(found['best']['score'])} with the best: {signed(lead['value'])} "
        f"({between} on {found['num_examples']} examples)"
    )
    if found["clear"]:
        words += f"; use {' '.join(f'--set {one}' for one in found['set'])} and another output_uri"
    else:
        words += ", which could be luck: keep the present ones"
    console().print(f"{words}.", markup=False)
