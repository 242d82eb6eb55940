"""A comparison from its config to its page: cells as Ray work, those that are missing alone.

A cell is an ordinary run below the comparison's output. That it is done is read
from its metrics.json, so the comparison keeps no state of its own: what resume,
exactly-once and leases are to a run, they are to its cells.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import ray
from ray.exceptions import RayError

from msp.compare.config import CompareConfig
from msp.compare.grid import Cell, Grid, make_grid
from msp.compare.page import INDEX_HTML, write_pages
from msp.compare.results import CellResult, read_result, unfinished
from msp.compare.table import make_tables
from msp.config import with_absolute_paths
from msp.distributed import placement
from msp.distributed.cell_worker import CellWork, log_key, run_cell
from msp.distributed.run import identified, lm_hash, record
from msp.errors import MSPError
from msp.methods import make_plan
from msp.models.lm_folder import first_line
from msp.progress import console
from msp.report.scores import title
from msp.report.wording import decimal
from msp.storage import layout
from msp.storage.lease import held
from msp.storage.store import ObjectStore, check_store, open_run_store
from msp.tasks import load_task
from msp.tasks.base import TaskData

_LOOK_SECONDS = 5.0
# Between two pages while cells run: of hundreds of cells one takes two seconds.
_PAGE_SECONDS = 30.0
# A cell waits for its process. With any share of a CPU it would keep a run that needs the
# whole cluster from ever starting.
_CELL_OPTIONS: dict[str, Any] = {
    "num_cpus": 0,
    "scheduling_strategy": "SPREAD",
    "max_retries": 2,  # of a node that is lost; what the run itself says is final
}
# Set in Ray jobs: what its workers get from the job, and the cells' workers need, too.
_JOB_ENVIRONMENT = ("RAY_JOB_CONFIG_JSON_ENV_VAR",)


def compare_arms(config: CompareConfig) -> dict[str, Any]:
    """Return what a comparison came to, once every cell has been run and the page is written.

    Returns:
        ``output_uri``, ``page``, ``num_cells``, ``num_done``, ``wins`` (task or group -> arm) and
        ``failed`` (cell -> what it said last; empty where all are done).

    Raises:
        UserError: a cell cannot work, or is there with other settings; nothing was run.
        HeldError: another comparison that is alive writes to the same output.
    """
    grid = make_grid(config)
    grid = Grid(config, grid.arms, tuple(map(_with_absolute_paths, grid.cells)))
    store = _store_of(grid)
    check_store(store)
    _check_cells(grid.cells)
    with held(store):
        results = {cell.name: read_result(store, cell) for cell in grid.cells}
        missing = [cell for cell in grid.cells if results[cell.name].state != "done"]
        write_pages(store, grid, list(results.values()))
        if missing:
            _run_cells(grid, missing, store, results)
    return _headline(store, grid, list(results.values()))


def _with_absolute_paths(cell: Cell) -> Cell:
    return Cell(cell.task, cell.arm, cell.seed, with_absolute_paths(cell.config))


def _store_of(grid: Grid) -> ObjectStore:
    """Return the comparison's store: the place above its cells, reached as they reach it."""
    cell = grid.cells[0]
    uri = cell.config.output_uri.removesuffix(f"/{cell.key}")
    return open_run_store(cell.config.model_copy(update={"output_uri": uri}))


def _check_cells(cells: tuple[Cell, ...]) -> None:
    """Pass where every cell has its data and a plan, and is not there with other settings.

    Raises:
        UserError: what is wrong, with the cell's name before it.
    """
    tasks: dict[str, TaskData] = {}
    lm_hash_of = cache(lm_hash)
    for cell in cells:
        with _named(cell):
            section = cell.config.task
            key = f"{cell.seed} {section.model_dump_json()}"
            if key not in tasks:
                tasks[key] = load_task(section, seed=cell.seed)
            make_plan(cell.config, tasks[key])
            run = identified(cell.config, tasks[key], lm_hash=lm_hash_of)
            if run.store.exists(layout.RUN_JSON):
                record(run)


@contextmanager
def _named(cell: Cell) -> Iterator[None]:
    try:
        yield
    except MSPError as error:
        raise type(error)(f"cell {cell.name}: {error}") from error


def _run_cells(
    grid: Grid, missing: list[Cell], store: ObjectStore, results: dict[str, CellResult]
) -> None:
    """Run each of the missing cells once, as many at a time as there is room for."""
    placement.connect(missing[0].config.cluster)
    _check_room(missing)
    waiting, running = deque(missing), dict[Any, Cell]()
    num_there = len(results) - len(missing)
    console().print(
        f"compare: {len(results)} cells, {num_there} done, {_num_at_once(grid, missing)} at a time",
        markup=False,
    )
    start, written = _starter(store), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < _num_at_once(grid, missing):
                cell = waiting.popleft()
                running[start(cell)] = cell
            ready, _ = ray.wait(list(running), timeout=_LOOK_SECONDS)
            for reference in ready:
                cell = running.pop(reference)
                results[cell.name] = _settled(cell, reference, store)
                num_there += 1
                _say(results[cell.name], store, f"{num_there}/{len(results)} cells")
            if ready and time.monotonic() - written > _PAGE_SECONDS:
                write_pages(store, grid, list(results.values()))
                written = time.monotonic()
    finally:
        # The process of a cell dies with its worker.
        for reference in running:
            ray.cancel(reference, force=True)
    write_pages(store, grid, list(results.values()))


def _check_room(cells: list[Cell]) -> None:
    """Pass where each cell alone has room; those that ask for the same are asked for once.

    Raises:
        ConfigError: the cluster is too small for a cell, and cannot grow to it.
    """
    asking: dict[str, Cell] = {}
    for cell in cells:
        config = cell.config
        sections = (config.cluster, config.tune, config.student)
        asking.setdefault("\n".join(section.model_dump_json() for section in sections), cell)
    for cell in asking.values():
        with _named(cell):
            placement.check_capacity(cell.config)


def _num_at_once(grid: Grid, cells: list[Cell]) -> int:
    """Return how many cells may run now; a cluster that grows holds more later."""
    wanted = grid.config.cells_at_once
    if isinstance(wanted, int):
        return wanted
    return min(placement.num_that_fit(cell.config) for cell in cells)


def _starter(store: ObjectStore) -> Callable[[Cell], Any]:
    """Return what starts a cell on this cluster, and returns the reference to wait for."""
    address = ray.get_runtime_context().gcs_address
    environment = {name: os.environ[name] for name in _JOB_ENVIRONMENT if name in os.environ}
    remote = ray.remote(run_cell).options(**_CELL_OPTIONS)

    def start(cell: Cell) -> Any:
        tree = cell.config.model_dump(mode="json")
        tree["cluster"]["address"] = address
        return remote.remote(CellWork(tree, cell.key, store, environment))

    return start


def _settled(cell: Cell, reference: Any, store: ObjectStore) -> CellResult:
    try:
        error = ray.get(reference)
    except RayError as found:
        error = f"its worker was lost: {first_line(found)}"
    result = read_result(store, cell)
    if result.state == "done":
        return result
    return unfinished(cell, error or "it ended well, but its metrics.json is not there or damaged")


def _say(result: CellResult, store: ObjectStore, progress: str) -> None:
    if result.state == "failed":
        log = f"{store.uri}/{log_key(result.key)}"
        words = f"{result.name}: failed: {result.error} (its log: {log})"
    else:
        name = result.headline[0]
        before, after = (found[name].mean for found in (result.seed_only, result.augmented))
        words = f"{result.name}: {title(name)} {decimal(before)} -> {decimal(after)}"
    style = "red" if result.state == "failed" else None
    console().print(f"{words}  ({progress})", style=style, markup=False)


def _headline(store: ObjectStore, grid: Grid, results: list[CellResult]) -> dict[str, Any]:
    columns = make_tables(grid, results)[0].columns
    return {
        "stage": "compare",
        "output_uri": store.uri,
        "page": f"{store.uri}/{INDEX_HTML}",
        "num_cells": len(results),
        "num_done": sum(result.state == "done" for result in results),
        "wins": {column.name: column.win.arm for column in columns if column.win},
        "failed": {r.name: r.error for r in results if r.state == "failed"},
    }
