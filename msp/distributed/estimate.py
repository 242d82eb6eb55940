"""What a run will take and cost, before it is paid for: a small part of it, run for real.

The part goes through the run's own stages, on the cluster and the engine that
the config names, in a place of its own that is removed again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import ray
from rich.table import Table

from msp.config import RunConfig, with_absolute_paths
from msp.distributed import placement
from msp.distributed.duplicates import find_round_duplicates
from msp.distributed.generate import committed_rows
from msp.distributed.node_meter import count_nodes
from msp.distributed.publish import publish
from msp.distributed.quality import measure_run_quality
from msp.distributed.run import Run, open_checked, record
from msp.errors import ConfigError, StorageError
from msp.forecast import Forecast, Measured, Part, forecast, num_waves, summary
from msp.lineage import read_synthetic
from msp.methods import (
    Opening,
    RoundPlan,
    find_method,
    first_round,
    learns_a_model,
    make_plan,
    quota_targets,
    tunes_prompts,
)
from msp.methods.base import num_shards
from msp.methods.direct import writes_nothing
from msp.progress import console
from msp.records import Example
from msp.report.finish import write_dataset_card, write_figures
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.manifest import read_manifest
from msp.storage.stage_times import process_seconds
from msp.tasks.base import TaskData

_TUNE_EPOCHS = 2  # the first is slow: memory is reserved, code is compiled
_TUNE_STEPS = 8
_SHARDS = 4
_UNITS_PER_SHARD = 32
# Of fine-tuning, whose steps are alike. The start of its workers took 20 s (Ray Train, 2 CPUs).
_FINETUNE_STEPS = 20
_FINETUNE_START_SECONDS = 20.0
# Texts that students learn from in the part: as many as the run will keep, up to this.
_MAX_SYNTHETIC = 2000


@dataclass(frozen=True)
class _Written:
    """The figures of the part's generation; seconds and counts are for one unit."""

    shards: list[int]
    fixed_seconds: float
    generator_seconds: float
    judge_seconds: float
    tokens: float
    num_units: int


def estimate_run(config: RunConfig) -> dict[str, Any]:
    """Return and show what the run will take, by stage, with its cost where prices are known.

    Args:
        config: the run's; nothing is written to its ``output_uri``.

    Returns:
        ``num_units``, ``num_candidates``, ``num_tokens``, ``num_kept``, ``wall_seconds``,
        ``tune_slack_seconds`` (more or less), ``stages``, ``node_hours`` (of heads, GPUs and
        CPUs), ``dollars`` or None, and ``measuring_seconds``, which is what the part took.

    Raises:
        UserError: the config cannot work; as a run would say.
    """
    if config.generate.grows:
        raise ConfigError(
            f"generate.method is {config.generate.method}, and how many requests a set takes to "
            "grow shows only as it grows; run it with a small generate.num_synthetic, and msp "
            "status says how far it is."
        )
    with _scratch(with_absolute_paths(config)) as output_uri:
        part = open_checked(_part_of(config, output_uri))
        if find_method(config).is_direct:
            writes_nothing(Opening(config, part.task, part.store))
        placement.connect(part.config.cluster)
        record(part)
        found = _measure(config, part)
        machine = {} if config.cluster.address else count_nodes(ray.nodes())
    result = summary(config, found, machine) | {"measuring_seconds": round(process_seconds(), 1)}
    _show(config, found, result)
    return result


def _part_of(config: RunConfig, output_uri: str) -> RunConfig:
    epochs = min(_TUNE_EPOCHS, config.tune.num_epochs)
    steps = config.student.num_steps
    if config.student.kind == "finetune":
        steps = min(steps, _FINETUNE_STEPS)
    one = {"min_generators": 1, "max_generators": 1}
    shard = min(_UNITS_PER_SHARD, config.generate.units_per_shard)
    return config.model_copy(
        update={
            "output_uri": output_uri,
            "tune": config.tune.model_copy(update={"num_epochs": epochs, "patience": epochs + 1}),
            "generate": config.generate.model_copy(update={"units_per_shard": shard}),
            "student": config.student.model_copy(
                update={"num_seeds": 1, "num_steps": steps, "sizes": []}
            ),
            "cluster": config.cluster.model_copy(update=one),
        }
    )


def _measure(config: RunConfig, part: Run) -> Forecast:
    start_seconds = process_seconds()
    tune, tuned = _measure_tune(config, part)
    written = _measure_generate(part)
    publish_seconds, kept = _measure_publish(part, written)
    num_planned = make_plan(config, part.task).num_units
    kept_per_unit = len(kept) / written.num_units
    num_cpus = float(ray.cluster_resources().get("CPU", 1.0))
    measured = Measured(
        start_seconds=start_seconds,
        tune=tune,
        generate_fixed_seconds=written.fixed_seconds,
        generator_seconds=written.generator_seconds,
        judge_seconds=written.judge_seconds,
        tokens_per_unit=written.tokens,
        kept_per_unit=kept_per_unit,
        publish_seconds=publish_seconds,
        train=Part(0.0, 0.0),
        evaluate=Part(0.0, 0.0),
        num_arms=0,
        num_cpus=num_cpus,
    )
    num_kept = forecast(config, measured, num_planned=num_planned).num_kept
    train, student = _measure_train(config, part, kept, num_kept, num_cpus)
    per_text = written.judge_seconds / config.generate.num_candidates_per_unit
    evaluate = _measure_evaluate(part, {"tune": tuned, "student": student}, per_text, len(kept))
    num_arms = _num_arms(student)
    whole = replace(measured, train=train, evaluate=evaluate, num_arms=num_arms)
    return forecast(config, whole, num_planned=num_planned)


def _measure_tune(config: RunConfig, part: Run) -> tuple[Part | None, dict[str, Any]]:
    """Return the time of tuning, and its figures; a few steps stand for an epoch."""
    task = part.task
    if learns_a_model(config):
        from msp.distributed.fit import fit_model as learn
    elif tunes_prompts(config):
        from msp.distributed.tune import tune_prompts as learn
        from msp.prompts.dev_bleu import sample_dev

        dev = sample_dev(task.dev, config.tune.max_dev_examples, seed=config.seed)
        task = replace(task, dev=tuple(dev))
    else:
        return None, {}
    started = time.monotonic()
    few, share = _few_examples(task, _TUNE_STEPS * config.tune.batch_size)
    with placement.ours_out_of_rays():
        tuned = learn(part.config, few, part.store)
    wall = time.monotonic() - started
    seconds = [record["seconds"] for record in tuned["curve"]]
    if not seconds:
        return Part(wall, 0.0), tuned
    # Epoch 0 is one look at the dev examples.
    fixed = wall - sum(seconds) + seconds[0] / share
    return Part(fixed, seconds[-1] / share), tuned


def _few_examples(task: TaskData, number: int) -> tuple[TaskData, float]:
    """Return the task with fewer examples to learn from, dev as well, and the share that is left.

    They are taken evenly from all, since examples of one label often stand together.
    """
    labelled = task.labelled
    share = min(1.0, number / len(labelled))

    def evenly(examples: tuple[Example, ...]) -> tuple[Example, ...]:
        kept = max(1, round(len(examples) * share)) if examples else 0
        return tuple(examples[i * len(examples) // kept] for i in range(kept))

    few = evenly(labelled)
    return replace(task, seeds=few, source=(), dev=evenly(task.dev)), len(few) / len(labelled)


def _measure_generate(part: Run) -> _Written:
    """Return the time of generation, from shards spread over the plan."""
    plan = _round_plan(part)
    units = make_plan(part.config, part.task, plan).num_units
    total = num_shards(units, part.config.generate.units_per_shard)
    number = min(_SHARDS, total)
    shards = [i * total // number for i in range(number)]
    started = time.monotonic()
    with placement.ours_out_of_rays():
        rows = list(committed_rows(part.config, part.task, plan, shards))
    wall = time.monotonic() - started
    works = [json.loads(row["work"]) for row in rows]
    writing = sum(work["generator_seconds"] for work in works)
    # An engine tries batch sizes on its first shard.
    settled = list(zip(rows, works, strict=True))[1:] or list(zip(rows, works, strict=True))
    made = sum(row["num_units"] for row, _ in settled)
    num_units = sum(row["num_units"] for row in rows)
    return _Written(
        shards=shards,
        fixed_seconds=max(0.0, wall - writing),
        generator_seconds=sum(work["generator_seconds"] for _, work in settled) / made,
        judge_seconds=sum(work["judge_seconds"] for _, work in settled) / made,
        tokens=sum(row["num_tokens"] for row in rows) / num_units,
        num_units=num_units,
    )


def _round_plan(part: Run) -> RoundPlan:
    if part.config.generate.num_synthetic is None:
        return RoundPlan(0, 0)
    return first_round(part.config, quota_targets(part.config, part.task))


def _measure_publish(part: Run, written: _Written) -> tuple[float, list[Example]]:
    """Return the time to find duplicates and to publish, and what was kept."""
    started = time.monotonic()
    plan = _round_plan(part)
    shards = [(plan.number, shard) for shard in written.shards]
    find_round_duplicates(part.config, part.store, shards, round_plan=plan)
    publish(
        part.config,
        part.store,
        shards,
        identity=part.identity,
        before_manifest=lambda: write_dataset_card(part.config, part.task, part.store),
    )
    seconds = time.monotonic() - started
    keys = [entry.key for entry in read_manifest(part.store).files]
    return seconds, list(read_synthetic(part.store, keys))


def _measure_train(
    config: RunConfig, part: Run, kept: list[Example], num_kept: int, num_cpus: float
) -> tuple[Part, dict[str, Any]]:
    """Return the time of the students, from one training of each arm, and their scores."""
    from msp.distributed.train import train_students

    number = min(num_kept, _MAX_SYNTHETIC)
    started = time.monotonic()

    def made() -> Iterator[Example]:
        return islice(_repeated(kept), number if kept else 0)

    before = made if part.config.changes_labels else None
    scores = train_students(part.config, part.task, part.store, made, before_relabel=before)
    wall = time.monotonic() - started
    each = read_json(part.store, layout.progress_key("train"))["seconds_per_training"]
    waves = num_waves(part.config, _num_arms(scores), num_cpus)
    if config.student.kind == "head":
        return Part(wall - waves * each, each), scores
    training = max(0.0, wall - _FINETUNE_START_SECONDS) / waves
    scale = config.student.num_steps / part.config.student.num_steps
    return Part(min(wall, _FINETUNE_START_SECONDS), training * scale), scores


def _num_arms(scores: dict[str, Any]) -> int:
    return sum(arm in scores for arm in layout.ARMS)


def _repeated(kept: list[Example]) -> Iterator[Example]:
    """Yield the kept examples again and again, each time with another text."""
    for number in range(_MAX_SYNTHETIC):
        for example in kept:
            text = f"{example.text} {number}" if number else example.text
            yield replace(example, uid=f"{example.uid}-{number}", text=text)


def _measure_evaluate(
    part: Run, stages: dict[str, Any], seconds_per_text: float, num_texts: int
) -> Part:
    started = time.monotonic()
    quality = measure_run_quality(part.config, part.task)
    write_figures(part.config, part.task, part.store, stages=stages, quality=quality)
    wall = time.monotonic() - started
    return Part(wall - num_texts * seconds_per_text, seconds_per_text)


@contextmanager
def _scratch(config: RunConfig) -> Iterator[str]:
    """Yield a place beside the run's that its workers reach, and remove it."""
    from msp.storage.store import open_run_store

    if config.cluster.address is None and "://" not in config.output_uri:
        with tempfile.TemporaryDirectory(prefix="msp-estimate-") as folder:
            yield folder
        return
    output_uri = f"{config.output_uri.rstrip('/')}.estimate-{uuid.uuid4().hex[:8]}"
    store = open_run_store(config.model_copy(update={"output_uri": output_uri}))
    try:
        yield output_uri
    finally:
        with suppress(StorageError):
            for found in list(store.list()):
                store.delete(found.key)
        if "://" not in output_uri:
            shutil.rmtree(Path(output_uri), ignore_errors=True)


def _show(config: RunConfig, found: Forecast, result: dict[str, Any]) -> None:
    table = Table(title="Estimate")
    for heading in ("stage", "wall time"):
        table.add_column(heading)
    for stage, seconds in found.stages.items():
        table.add_row(stage, _time(seconds))
    table.add_row("all", _time(found.wall_seconds))
    out = console()
    out.print(table)
    cost = result["dollars"]
    price = "no price in the config (cluster.dollars_per_*_hour)"
    hours = ", ".join(f"{kind} {number:g}" for kind, number in result["node_hours"].items())
    out.print(
        f"{found.num_units} units, {result['num_candidates']} candidates, {found.num_tokens} "
        f"tokens, about {found.num_kept} kept\n"
        f"hours of a head, a GPU, a CPU: {hours}; "
        f"{price if cost is None else f'{cost:.2f} dollars'}\n"
        f"from a part that took {result['measuring_seconds']:.0f} s; patience may end tuning "
        f"{_time(found.tune_slack_seconds)} earlier or later than counted, "
        f"{_pace(config.cluster.max_generators)}",
        markup=False,
    )


def _pace(num_generators: int) -> str:
    if num_generators == 1:
        return "and one generator writes"
    return f"and {num_generators} generators are taken to write {num_generators} times as fast as 1"


def _time(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.1f} h"
