"""The table says what the figures say, and the page shows hostile names as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from made_up import OVERLAP, FakeComparison, config_of, figures, without_holes

from msp.compare.grid import Cell, make_grid
from msp.compare.page import build_json, build_markdown, build_page
from msp.compare.results import SEED_ONLY, CellResult, read_result, result_of, unfinished
from msp.compare.table import Table, make_tables
from msp.compare.texts import growth, text_rows
from msp.storage.store import open_store

HOSTILE = '<img src=x onerror="window.hacked=1">\u202e</script>'


def tables_of(scores: dict[str, tuple[float, float]], **changes: object) -> Table:
    """Return the table of cells named ``task arm seed`` with seed-only and augmented scores."""
    grid = make_grid(config_of(**changes))
    results = [
        result_of(cell, figures(*scores[key]))
        if (key := f"{cell.task} {cell.arm} {cell.seed}") in scores
        else unfinished(cell)
        for cell in grid.cells
    ]
    return make_tables(grid, results)[0]


@pytest.fixture(scope="module")
def page(fake: FakeComparison) -> str:
    return build_page(fake.grid, fake.results, make_tables(fake.grid, fake.results)).decode()


def test_gains_are_paired_within_a_cell_and_between_arms() -> None:
    table = tables_of(
        {
            "one msp 13": (50.0, 54.0),
            "one msp 16": (40.0, 42.0),
            "one hot 13": (50.0, 51.0),
            "one hot 16": (40.0, 43.0),
        },
        tasks={"one": {}},
        baseline="hot",
    )
    (column,) = table.columns
    assert table.overall is None
    assert column.seed_only == (45.0, pytest.approx(50**0.5))
    msp = column.entries["msp"]
    assert (msp.mean, msp.gains) == (48.0, (4.0, 2.0))
    assert msp.over_seed_only and msp.over_seed_only.mean == 3.0
    assert msp.over_reference and msp.over_reference.mean == pytest.approx(1.0)
    assert column.entries["hot"].over_reference is None
    assert column.win and (column.win.arm, column.win.runner_up) == ("msp", "hot")


def test_tasks_weigh_the_same_over_all_and_a_missing_one_leaves_no_mean() -> None:
    scores = {f"one {arm} {seed}": (50.0, 52.0) for arm in ("msp", "hot") for seed in (13, 16)}
    table = tables_of({**scores, "two msp 13": (70.0, 76.0)})
    assert table.overall
    msp, hot = (table.overall.entries[name] for name in ("msp", "hot"))
    assert (msp.mean, msp.num_cells, msp.num_planned) == (64.0, 3, 4)
    assert msp.over_seed_only and msp.over_seed_only.mean == pytest.approx(4.0)
    assert hot.mean is None and not hot.is_whole


def test_an_arm_with_cells_missing_does_not_win_by_it() -> None:
    table = tables_of(
        {"one msp 13": (50.0, 51.0), "one msp 16": (40.0, 41.0), "one hot 13": (50.0, 51.0)},
        tasks={"one": {}},
    )
    assert table.columns[0].win and table.columns[0].win.arm == "msp"


def test_where_no_method_helps_seed_only_wins() -> None:
    table = tables_of({"one msp 13": (50.0, 49.0), "one hot 13": (50.0, 48.0)}, tasks={"one": {}})
    assert table.columns[0].win and table.columns[0].win.arm == SEED_ONLY


def test_the_page_names_winners_failures_and_what_the_runs_say(page: str) -> None:
    for words in (
        "msp is first",
        "313 of 315 cells are done",
        "991 off_topic",
        OVERLAP,
        "8 of 9 cells",
        "could be luck",
        "Ablations of msp",
        "are not independent",
    ):
        assert words in page
    assert 'href="cells/banking-fold-2/in_context/33.log"' in page


def test_every_link_is_relative_and_every_done_cell_has_one(
    page: str, fake: FakeComparison
) -> None:
    links = set(re.findall(r'href="([^"#]+)"', page)) - {"data:,"}
    assert not [link for link in links if not link.startswith("cells/")]
    done = {f"{r.key}/report.html" for r in fake.results if r.state == "done"}
    assert done <= links
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))


def test_names_and_errors_reach_the_page_and_the_table_as_text(fake: FakeComparison) -> None:
    results = [
        replace(r, error=HOSTILE + "|x\ny") if r.state == "failed" else replace(r, notes=(HOSTILE,))
        for r in fake.results
    ]
    tables = make_tables(fake.grid, results)
    page = build_page(fake.grid, results, tables).decode()
    assert "<img" not in page and "<script" not in page and "\u202e" not in page
    assert "&lt;img src=x" in page and "[U+202E]" in page
    table = build_markdown(fake.grid, results, tables).decode()
    assert r"\<img" in table and not re.search(r"(?<!\\)<img", table)
    assert r"\|x y |" in table


def test_texts_and_growth_are_means_over_the_cells_that_have_them() -> None:
    grid = make_grid(config_of(tasks={"one": {}}))
    found = [figures(50.0, 56.0), figures(40.0, 52.0), figures(50.0, 50.0), figures(40.0, 40.0)]
    found[0]["student"]["sizes"] = found[0]["student"]["sizes"][:1]
    del found[2]["quality"]["mauve"], found[2]["student"]["sizes"], found[3]["student"]["sizes"]
    results = [result_of(cell, f) for cell, f in zip(grid.cells, found, strict=True)]
    first, second = text_rows(grid, results)
    assert (first.arm, first.column, first.values["mauve"]) == ("msp", "one", 0.35)
    assert first.values["num_synthetic"] == 600 and second.values["distinct_2"] == 0.71
    grown = growth(grid, results)
    assert grown is not None and grown.sizes == (100,)
    (row,) = grown.rows
    assert (row.arm, row.seed_only, row.whole, row.num_whole) == ("msp", 45.0, 54.0, 600)
    assert row.of_size == {100: pytest.approx(46.5)}
    page = build_page(grid, results, make_tables(grid, results)).decode()
    assert "Nearest seed" in page and "As the synthetic set grows" in page
    table = build_markdown(grid, results, make_tables(grid, results)).decode()
    assert "| msp | one | 600 | 0.350 | 0.710 | 0.620 | 0.010 | 61.5 |\n| hot | one |" in table
    assert "61.5 |\n\nMicro-F1 by the number of synthetic examples" in table
    assert "| arm | task | 0 | 100 | all |\n|---|---|---|---|---|\n| msp | one | 45.0" in table


def test_what_labels_words_give_stands_beside_the_methods_and_they_without_it() -> None:
    grid = make_grid(config_of(seeds=[13, 23, 33]))
    scored = [result_of(c, figures(50.0, 56.0, label_texts=True)) for c in grid.cells]
    tables = make_tables(grid, scored)
    overall = tables[0].overall
    assert overall is not None and overall.label_texts == (52.0, None)
    over = overall.entries["msp"].over_label_texts
    assert over is not None and over.mean == pytest.approx(4.0)
    markdown = build_markdown(grid, scored, tables).decode()
    assert "| seed, label texts | 52.0" in markdown and "over label texts" in markdown
    plain = markdown.partition("Without the labels' own words")[2]
    assert "| msp | **55.0" in plain
    page = build_page(grid, scored, tables).decode()
    assert "Without the labels" in page and "seed, label texts" in page
    old = [result_of(c, figures(50.0, 56.0)) for c in grid.cells]
    for built in (build_page, build_markdown):
        assert "abel texts" not in built(grid, old, make_tables(grid, old)).decode()


def test_before_relabelling_has_a_table_of_the_arms_that_relabel() -> None:
    grid = make_grid(config_of())
    first = grid.arms[0].name
    scored = [result_of(c, figures(50.0, 56.0, relabels=c.arm == first)) for c in grid.cells]
    markdown = build_markdown(grid, scored, make_tables(grid, scored)).decode()
    before = markdown.partition("Before relabelling:\n\n")[2].partition("Gains")[0]
    rows = [line for line in before.splitlines() if line]
    assert rows == before.strip().splitlines(), "a blank line would end the table"
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["seed only", first]
    assert "53.0" in rows[-1]
    page = build_page(grid, scored, make_tables(grid, scored)).decode()
    assert "Before relabelling" in page and "labels that they were asked for" in page


def test_without_figures_of_texts_there_is_no_word_of_them() -> None:
    grid = make_grid(config_of())
    assert not text_rows(grid, [unfinished(cell) for cell in grid.cells])
    assert growth(grid, []) is None
    page = build_page(grid, [], make_tables(grid, [])).decode()
    assert "As the synthetic set grows" not in page and "Nearest seed" not in page


def test_the_json_has_every_cell_and_figure(fake: FakeComparison) -> None:
    tables = make_tables(fake.grid, fake.results)
    found = json.loads(build_json(fake.grid, fake.results, tables))
    assert len(found["cells"]) == 315
    failed = [cell for cell in found["cells"] if cell["state"] == "failed"]
    assert [cell["report"] for cell in failed] == [None]
    entry = found["tables"][0]["columns"][0]["entries"]["msp"]
    assert entry["over_seed_only"]["num_pairs"] == len(entry["gains"]) == 9
    assert found["arms"][5]["overrides"]["denoise.num_kept_per_unit"].startswith("= generate.")


def test_a_comparison_that_has_done_nothing_says_so(fake: FakeComparison) -> None:
    nothing = [unfinished(cell) for cell in fake.grid.cells]
    page = build_page(fake.grid, nothing, make_tables(fake.grid, nothing)).decode()
    assert "No cell is done yet" in page and "315 not run yet" in page
    assert "no cell is done" in build_markdown(fake.grid, nothing, []).decode().lower()


def test_a_task_without_any_score_stays_in_sight(fake: FakeComparison) -> None:
    cells = {cell.name: cell for cell in fake.grid.cells}
    results = [
        unfinished(cells[r.name], "no room") if r.task == "reminder" else r for r in fake.results
    ]
    tables = make_tables(fake.grid, results)
    assert [column.name for column in tables[0].columns] == ["hotels", "banking", "reminder"]
    assert tables[0].overall and tables[0].overall.name == "2 of 3 tasks"
    page = build_page(fake.grid, results, tables).decode()
    assert "no score yet" in page and "Over 2 of 3 tasks msp is first" in page


def test_a_whole_comparison_speaks_of_no_hole(fake: FakeComparison) -> None:
    whole = without_holes(fake)
    page = build_page(whole.grid, whole.results, make_tables(whole.grid, whole.results)).decode()
    assert "cells are done" not in page and 'id="failed"' not in page


def test_few_pairs_are_said_to_be_too_few() -> None:
    grid = make_grid(config_of(tasks={"one": {}}))
    results = [result_of(cell, figures(50.0, 56.0)) for cell in grid.cells]
    page = build_page(grid, results, make_tables(grid, results)).decode()
    assert "so few pairs cannot make any difference sure" in page
    assert "no p below 0.50 can come out of so few" in page


def test_a_cell_is_done_where_its_metrics_are_whole(tmp_path) -> None:
    store = open_store(str(tmp_path))
    cell: Cell = make_grid(config_of()).cells[0]

    def found() -> CellResult:
        return read_result(store, cell)

    assert found().state == "missing"
    store.write(f"{cell.key}/metrics.json", b'{"half": ')
    assert found().state == "missing"
    store.write(f"{cell.key}/metrics.json", json.dumps(figures(50.0, 53.0)).encode())
    assert found().state == "done" and found().augmented["micro_f1"].mean == 53.0


def test_every_colour_that_the_page_uses_is_defined_on_it(page: str) -> None:
    used = {*re.findall(r"var\((--\w+)\)", page)}
    assert used and used <= {*re.findall(r"(--\w+):", page)}
