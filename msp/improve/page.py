"""The loop's files: index.html that reads at a glance, improve.md and improve.json.

Names and notes are hostile input: the template escapes them, no script runs, and a
content security policy lets none in. Links are relative, so the folder can be moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from msp.compare.page import PAGE_STYLE
from msp.compare.wording import markdown_text
from msp.improve.config import ImproveConfig
from msp.improve.curves import (
    AttributeRow,
    RoundRow,
    attribute_rows,
    combination_rows,
    round_rows,
    x_place,
    y_place,
)
from msp.improve.decide import chosen_round
from msp.improve.measure import Measure, gain
from msp.improve.plan import PlannedRound, round_key
from msp.improve.spent import Spent
from msp.report.build import inlined, rendered, template_environment
from msp.report.scores import headline, rival, title
from msp.report.wording import decimal, number, redact, signed
from msp.storage import layout
from msp.storage.store import ObjectStore

INDEX_HTML = "index.html"
IMPROVE_MD = "improve.md"
IMPROVE_JSON = "improve.json"


@dataclass(frozen=True)
class Loop:
    """A loop as it stands.

    Args:
        config: the loop's.
        measures: of round 0, the seed examples alone, and of every round that is done.
        plans: of every round, the last of which may be under way.
        spent: by every round that is done.
        words: attribute -> its name in words.
        notes: on the task's data.
        ended: why it ended; None while it goes on.
        figures: metrics.json of the chosen round, once test was scored.
    """

    config: ImproveConfig
    measures: tuple[Measure, ...]
    plans: tuple[PlannedRound, ...]
    spent: tuple[Spent, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ended: str | None = None
    figures: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FinalScore:
    """A metric of the chosen round's students on test examples: mean and standard deviation."""

    name: str
    before: tuple[float | None, float | None]
    after: tuple[float | None, float | None]


def write_pages(store: ObjectStore, loop: Loop) -> None:
    """Write what the loop came to so far, as JSON, as Markdown and as the page."""
    view = _view(loop)
    store.write(IMPROVE_JSON, _json(loop, view))
    store.write(IMPROVE_MD, _render("improve.md.j2", view))
    style = inlined("style", *PAGE_STYLE, ("msp.improve", "improve.css"))
    store.write(INDEX_HTML, _render("improve.html.j2", {**view, **style}))


def _json(loop: Loop, view: Mapping[str, Any]) -> bytes:
    rounds: list[RoundRow] = view["rounds"]
    attributes: list[AttributeRow] = view["attributes"]
    found = {
        "policy": loop.config.policy,
        "ended": loop.ended,
        "chosen": view["chosen"],
        "rounds": [asdict(row) for row in rounds],
        "attributes": [asdict(row) for row in attributes],
        "combinations": [asdict(row) for row in view["combinations"]],
        "test": [asdict(score) for score in view["test"]],
    }
    return json.dumps(redact(found), indent=1).encode()


def _render(template: str, view: Mapping[str, Any]) -> bytes:
    environment = template_environment("msp.improve")
    environment.filters["markdown_text"] = markdown_text
    environment.globals |= {"x_place": x_place, "y_place": y_place}
    return rendered(environment, template, view)


def _view(loop: Loop) -> dict[str, Any]:
    rounds = round_rows(loop.measures, loop.spent)
    chosen = chosen_round(loop.measures)
    tone, sentences = _verdict(loop, chosen)
    return {
        "title": loop.config.output_uri.rstrip("/").rpartition("/")[2],
        "tone": tone,
        "sentences": sentences,
        "ended": loop.ended,
        "rounds": rounds,
        "chosen": chosen,
        "attributes": attribute_rows(loop.measures, loop.plans, loop.spent),
        "combinations": combination_rows(loop.measures),
        "words": loop.words,
        "notes": loop.notes,
        "test": _test_scores(loop.figures),
        "num_test": number(((loop.figures or {}).get("task") or {}).get("num_test")),
        "num_dev": len(loop.measures[0].uids),
        "report_of": {
            plan.number: f"{round_key(plan.number)}/{layout.REPORT_HTML}" for plan in loop.plans
        },
        "policy": loop.config.policy,
        "config": redact(loop.config.model_dump(mode="json")),
        "low": min(row.score.low for row in rounds),
        "high": max(row.score.high for row in rounds),
    }


def _verdict(loop: Loop, chosen: int) -> tuple[str, list[str]]:
    """Return a tone and honest sentences for the top of the page."""
    last = loop.measures[-1]
    if not last.number:
        return "unknown", [f"The seed examples alone give dev F1 {decimal(last.score)}."]
    total = gain(loop.measures[0], loop.measures[chosen])
    best = loop.measures[chosen]
    between = f"{signed(total.low)} to {signed(total.high)} on {len(best.uids)} dev examples"
    sentences = [
        f"Dev F1 {decimal(loop.measures[0].score)} with the seed examples alone, "
        f"{decimal(best.score)} after round {chosen}: {signed(total.value)} ({between})."
    ]
    if not chosen:
        return "worse", ["Every round is clearly worse on dev than the seed examples alone."]
    if total.can_be_luck:
        sentences.append("That could be luck: dev is too small to tell the two apart.")
        return "same", sentences
    return "better" if total.value > 0 else "worse", sentences


def _test_scores(figures: Mapping[str, Any] | None) -> list[FinalScore]:
    student = (figures or {}).get("student") or {}
    if not student:
        return []

    def of(arm: str, name: str) -> tuple[float | None, float | None]:
        found = student[arm].get(name) or {}
        return number(found.get("mean")), number(found.get("std"))

    return [
        FinalScore(title(name), of("seed_only", name), of(rival(student), name))
        for name in headline(student)
    ]
