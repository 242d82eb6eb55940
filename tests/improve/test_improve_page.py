"""The loop's page, Markdown and JSON, of made-up rounds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from loops import loop_config, made_measure, made_spent

from msp.improve.page import Loop, write_pages
from msp.improve.plan import plan_round
from msp.storage.store import open_store
from msp.tasks import load_task


@pytest.fixture
def loop() -> Loop:
    config = loop_config()
    task = load_task(config.run_config().task, seed=13)
    measures = [made_measure(n, [0.2 + 0.3 * n, 0.5, 0.9]) for n in range(3)]
    plans = [plan_round(config, task, measures[0], [], before=None)]
    plans.append(plan_round(config, task, measures[1], [made_spent(1)], before=plans[0]))
    return Loop(
        config, tuple(measures), tuple(plans), (made_spent(1), made_spent(2)),
        notes=("<script>alert(1)</script>",), ended="all 2 rounds are done.",
    )  # fmt: skip


def test_every_round_and_attribute_is_on_the_page_with_its_interval(
    loop: Loop, tmp_path: Path
) -> None:
    write_pages(open_store(str(tmp_path)), loop)
    page = (tmp_path / "index.html").read_text()
    for number in (1, 2):
        assert f'href="rounds/{number}/report.html"' in page
    assert "<svg" in page and "wifi" in page and "all 2 rounds are done." in page
    found = json.loads((tmp_path / "improve.json").read_text())
    assert [row["number"] for row in found["rounds"]] == [0, 1, 2]
    assert found["rounds"][1]["made"]["candidates"] == 100
    (wifi,) = (row for row in found["attributes"] if row["name"] == "wifi")
    assert len(wifi["f1"]) == 3 and [made["kept"] for made in wifi["made"]] == [20, 20]
    assert found["rounds"][2]["gain"]["low"] <= found["rounds"][2]["gain"]["high"]
    assert "| wifi |" in (tmp_path / "improve.md").read_text()


def test_hostile_text_stays_text(loop: Loop, tmp_path: Path) -> None:
    write_pages(open_store(str(tmp_path)), loop)
    page = (tmp_path / "index.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_every_colour_that_the_page_uses_is_defined_on_it(loop: Loop, tmp_path: Path) -> None:
    write_pages(open_store(str(tmp_path)), loop)
    page = (tmp_path / "index.html").read_text()
    used = {*re.findall(r"var\((--\w+)\)", page)}
    assert used and used <= {*re.findall(r"(--\w+):", page)}


def test_a_loop_that_has_measured_the_seed_examples_alone_has_a_page(
    loop: Loop, tmp_path: Path
) -> None:
    begun = Loop(loop.config, loop.measures[:1], (), ())
    write_pages(open_store(str(tmp_path)), begun)
    assert "Not ended" in (tmp_path / "index.html").read_text()
