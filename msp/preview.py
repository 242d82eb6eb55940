"""A few candidates with their verdicts, in this process and without a trace in the store.

The units are spread evenly over the real plan, so what shows here is what the
run would commit for them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.table import Table
from rich.text import Text

from msp.config import RunConfig, with_absolute_paths
from msp.judging import make_scorer
from msp.methods import Opening, find_method, make_plan
from msp.progress import console
from msp.records import Candidate, Unit
from msp.review.gold import load_reviewed_task
from msp.storage import layout
from msp.storage.store import ObjectStore, open_run_store
from msp.tasks.base import TaskData

# Two of a unit's candidates show how much they differ, and leave room for more units.
_SHOWN_PER_UNIT = 2


def preview_run(config: RunConfig, num_candidates: int) -> dict[str, Any]:
    """Show ``num_candidates`` judged candidates of the run's plan and return their counts.

    The run's tuned prompts are used where they are in the store; else the
    prompts as initialised, and the output says so.

    Raises:
        UserError: the config cannot work; see :func:`msp.distributed.run.open_checked`.
    """
    config = with_absolute_paths(config)
    task = load_reviewed_task(config)
    units = _spread_units(config, task, num_candidates)
    store = open_run_store(config)
    prompts = _state_of_prompts(config, store)
    writer = find_method(config).open_writer(Opening(config, task, store, untuned=True))
    judged = make_scorer(config, task).judge(units, writer.write(units))
    shown = [
        (unit, candidate)
        for unit, candidates in zip(units, judged, strict=True)
        for candidate in candidates[:_SHOWN_PER_UNIT]
    ][:num_candidates]
    _show(shown, prompts)
    return {
        "prompts": prompts,
        "num_units_planned": make_plan(config, task).num_units,
        "num_candidates": len(shown),
        "num_kept": sum(candidate.kept for _, candidate in shown),
        "num_dropped_by_reason": dict(Counter(c.reason for _, c in shown if c.reason)),
        "candidates": [
            {
                "unit": unit.id,
                "attributes": list(unit.constraint.attributes),
                "values": {slot: list(texts) for slot, texts in unit.constraint.values.items()},
                "mix": unit.mix and [unit.mix.attribute, unit.mix.alpha],
                "text": candidate.text,
                "relabelled": candidate.relabelled,
                "kept": candidate.kept,
                "reason": candidate.reason,
            }
            for unit, candidate in shown
        ],
    }


def _spread_units(config: RunConfig, task: TaskData, num_candidates: int) -> list[Unit]:
    plan = make_plan(config, task)
    num = min(plan.num_units, -(-num_candidates // _SHOWN_PER_UNIT))
    return [plan.unit(i * plan.num_units // num) for i in range(num)]


def _state_of_prompts(config: RunConfig, store: ObjectStore) -> str:
    method = find_method(config)
    if method.open_fit is not None and config.generate.engine != "scripted":
        learned = "has learned" if store.exists(layout.FIT_JSON) else "has not learned yet"
        return f"none ({config.generate.method}, which {learned})"
    if not method.tunes_prompts:
        return f"none ({config.generate.method})"
    if config.generate.engine == "scripted":
        return "none (scripted engine)"
    return "tuned" if store.exists(layout.PROMPTS_JSON) else "as initialised (not tuned yet)"


def _show(shown: list[tuple[Unit, Candidate]], prompts: str) -> None:
    table = Table(title=f"Preview; prompts: {prompts}", show_lines=True)
    for heading in ("asked for", "candidate", "verdict"):
        table.add_column(heading)
    for unit, candidate in shown:
        values = [text for texts in unit.constraint.values.values() for text in texts]
        asked = ", ".join(unit.constraint.attributes) + (f" [{'; '.join(values)}]" * bool(values))
        if unit.mix and unit.mix.attribute:
            asked += f" {unit.mix.alpha:.0%}, {unit.mix.attribute}"
        verdict = candidate.reason or "kept"
        if candidate.replaced:
            verdict += f" as {candidate.relabelled}"
        table.add_row(Text(asked), Text(candidate.text), Text(verdict))
    console().print(table)
