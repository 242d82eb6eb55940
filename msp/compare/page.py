"""The comparison's files: index.html that reads at a glance, table.md and compare.json.

Names, notes and what a failed cell said are hostile input: the template escapes
them, no script runs, and a content security policy lets none in. Links are
relative, so the folder can be moved or served.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from msp.compare import wording
from msp.compare.ablations import SENTENCES, Like
from msp.compare.grid import Arm, Grid
from msp.compare.plots import forests
from msp.compare.results import CellResult
from msp.compare.statistics import MAX_EXACT_PAIRS, NUM_SAMPLED
from msp.compare.table import Column, Table, make_other_tables, make_tables
from msp.compare.texts import FIGURES, growth, text_rows
from msp.report.build import inlined, rendered, template_environment
from msp.report.wording import count, redact
from msp.storage import layout
from msp.storage.store import ObjectStore

INDEX_HTML = "index.html"
TABLE_MD = "table.md"
COMPARE_JSON = "compare.json"
# Package and file of each; a loop's page looks like a comparison's.
PAGE_STYLE = (
    ("msp.report", "palette.css"),
    ("msp.report", "report.css"),
    ("msp.compare", "compare.css"),
)


def write_pages(store: ObjectStore, grid: Grid, results: Sequence[CellResult]) -> None:
    """Write what the cells came to so far, as JSON, as Markdown and as the page."""
    tables = make_tables(grid, results)
    store.write(COMPARE_JSON, build_json(grid, results, tables))
    store.write(TABLE_MD, build_markdown(grid, results, tables))
    store.write(INDEX_HTML, build_page(grid, results, tables))


def build_json(grid: Grid, results: Sequence[CellResult], tables: Sequence[Table]) -> bytes:
    """Return every figure, machine-readable."""
    found = {
        "seeds": list(grid.config.seeds),
        "reference": grid.config.reference,
        "ablated": grid.config.ablated,
        "arms": [{**asdict(arm), "overrides": _plain(arm)} for arm in grid.arms],
        "tables": [_table(table) for table in tables],
        "texts": [asdict(row) for row in text_rows(grid, results)],
        "growth": asdict(grown) if (grown := growth(grid, results)) else None,
        "cells": [
            {**asdict(r), "report": f"{r.key}/{layout.REPORT_HTML}" if r.state == "done" else None}
            for r in results
        ],
    }
    return json.dumps(redact(found), indent=1).encode()


def _table(table: Table) -> dict[str, Any]:
    """Return a table as JSON values; what each cell has is among the cells."""
    found = asdict(table)
    for column in [*found["columns"], *([found["overall"]] if found["overall"] else [])]:
        del column["seed_only_of"]
    return found


def build_markdown(grid: Grid, results: Sequence[CellResult], tables: Sequence[Table]) -> bytes:
    """Return the tables as Markdown."""
    return _render("table.md.j2", _view(grid, results, tables))


def build_page(grid: Grid, results: Sequence[CellResult], tables: Sequence[Table]) -> bytes:
    """Return the page."""
    style = inlined("style", *PAGE_STYLE)
    return _render("compare.html.j2", {**_view(grid, results, tables), **style})


def _render(template: str, view: dict[str, Any]) -> bytes:
    environment = template_environment("msp.compare")
    for name in ("p_value", "markdown_text"):
        environment.filters[name] = getattr(wording, name)
    environment.globals |= {
        "sureness": wording.sureness,
        "paired_words": wording.paired_words,
        "interval": wording.interval,
        "place": wording.place,
        "forests": forests,
    }
    return rendered(environment, template, view)


@dataclass(frozen=True, slots=True)
class Noted:
    """What runs say of their data, and which of them."""

    number: int
    text: str
    cells: tuple[str, ...]


def _view(grid: Grid, results: Sequence[CellResult], tables: Sequence[Table]) -> dict[str, Any]:
    table = tables[0] if tables else Table((), None)
    methods = [arm for arm in grid.arms if arm.ablation is None]
    notes = _notes(results)
    return {
        "title": grid.config.output_uri.rstrip("/").rpartition("/")[2],
        "verdict": wording.verdict(table, grid.config.reference),
        "columns": table.columns,
        "overall": table.overall,
        "shown": table.shown,
        "column_number": {column.name: n for n, column in enumerate(table.columns, start=1)},
        "methods": _ranked(methods, table.summary),
        "ablations": [arm for arm in grid.arms if arm.ablation is not None],
        "sentences": SENTENCES,
        "reference": grid.config.reference,
        "ablated": grid.config.ablated,
        "has_label_texts": any(column.label_texts for column in table.columns),
        "others": make_other_tables(grid, results),
        "further": tables[1:],
        "figures": FIGURES,
        "texts": text_rows(grid, results),
        "growth": growth(grid, results),
        "num_test_of": {column.name: _num_test(column, results) for column in table.columns},
        "cell_of": {(r.task, r.arm, r.seed): r for r in results},
        "seeds": grid.config.seeds,
        "failed": [r for r in results if r.state == "failed"],
        "num_missing": sum(r.state == "missing" for r in results),
        "num_cells": len(results),
        "num_done": sum(r.state == "done" for r in results),
        "notes": notes,
        "notes_of": _numbers(notes),
        "num_tests": wording.num_tests(table, grid.arms),
        "max_exact_pairs": MAX_EXACT_PAIRS,
        "num_sampled": NUM_SAMPLED,
        "num_students": {c.config.student.num_seeds for c in grid.cells},
        "overrides": {arm.name: redact(_plain(arm)) for arm in grid.arms},
        "tasks": {
            name: redact({key: json.dumps(value) for key, value in found.items()})
            for name, found in grid.config.tasks.items()
        },
    }


def _num_test(column: Column, results: Sequence[CellResult]) -> str:
    found = {r.num_test for r in results if r.task in column.tasks and r.num_test is not None}
    return " or ".join(map(count, sorted(found)))


def _ranked(arms: Sequence[Arm], summary: Column | None) -> list[Arm]:
    """Return the arms by score, the highest first; those without one last, as they were."""
    means = {arm.name: summary.entries[arm.name].mean if summary else None for arm in arms}

    def rank(arm: Arm) -> tuple[bool, float]:
        mean = means[arm.name]
        return mean is None, -(mean or 0.0)

    return sorted(arms, key=rank)


def _plain(arm: Arm) -> dict[str, str]:
    """Return an arm's overrides as text; what stands for another setting says which."""
    return {
        key: f"= {value.key}" if isinstance(value, Like) else json.dumps(value)
        for key, value in arm.overrides.items()
    }


def _notes(results: Sequence[CellResult]) -> list[Noted]:
    cells: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            cells.setdefault(note, []).append(result.name)
    return [Noted(n, text, tuple(names)) for n, (text, names) in enumerate(cells.items(), start=1)]


def _numbers(notes: Sequence[Noted]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for note in notes:
        for name in note.cells:
            numbers.setdefault(name, []).append(note.number)
    return numbers
