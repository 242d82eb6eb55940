"""The comparison's page in the real browser: it reads, leads on and runs nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium import NEEDS_CHROMIUM, browser, resize
from made_up import FakeComparison

from msp.compare.page import write_pages
from msp.storage.store import open_store

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'

__all__ = ["browser"]

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def folder(fake: FakeComparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison's files, moved after they were written, with a report where a link leads."""
    made, moved = (tmp_path_factory.mktemp("compare") / name for name in ("made", "moved"))
    results = [
        replace(r, error=HOSTILE) if r.state == "failed" else replace(r, notes=(HOSTILE,))
        for r in fake.results
    ]
    write_pages(open_store(str(made)), fake.grid, results)
    report = made / "cells/reminder/msp/13/report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<title>the run's report</title>")
    made.rename(moved)
    return moved


@pytest.fixture
def page(browser, folder: Path) -> Any:
    """The page, freshly opened 1280 pixels wide."""
    resize(browser, 1280)
    browser.get((folder / "index.html").as_uri())
    return browser


def test_the_winner_and_how_sure_it_is_stand_on_the_first_screen(page) -> None:
    tile = page.find_element("css selector", "#winners .tile")
    assert tile.location["y"] < 900
    assert "hotels" in tile.text and "msp" in tile.text
    assert "over seed only, p = 0.004" in " ".join(tile.text.split())
    assert "over hard_prompt" in tile.text


def test_hostile_texts_are_shown_as_text_and_run_nothing(page) -> None:
    assert HOSTILE in page.find_element("id", "cells").text
    assert page.execute_script("return window.hacked") is None
    assert page.find_elements("css selector", "main img, main script") == []
    assert page.get_log("browser") == []


def test_a_number_leads_to_its_runs_report_after_the_folder_moved(page) -> None:
    link = page.find_element("css selector", "a[href='cells/reminder/msp/13/report.html']")
    assert float(link.text) > 60
    page.get(link.get_attribute("href"))
    assert page.title == "the run's report"


def test_a_number_of_several_runs_leads_to_the_list_of_them(page) -> None:
    page.find_element("css selector", "#scores .best a").click()
    top = page.execute_script(
        "return document.getElementById('cells-1').getBoundingClientRect().top"
    )
    assert -1 <= top < 900


@pytest.mark.parametrize("width", [380, 768, 1280])
def test_no_width_needs_sideways_scrolling(page, width: int) -> None:
    resize(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_every_table_has_headings(page) -> None:
    assert page.execute_script("return [...document.querySelectorAll('table')].every(t => t.tHead)")
