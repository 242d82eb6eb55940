"""The report in the real browser: what a person sees, types and prints."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from chromium import NEEDS_CHROMIUM, browser, resize

from msp.report.build import build_report

__all__ = ["browser"]

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def report_path(fake_run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(build_report(fake_run.store, fake_run.inputs))
    return path


@pytest.fixture
def report(browser, report_path: Path) -> Any:
    """The report, freshly opened 1280 pixels wide."""
    resize(browser, 1280)
    browser.get(report_path.as_uri())
    return browser


def choose(report: Any, select: str, words: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(report.find_element("id", select)).select_by_visible_text(words)


def rows(report: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#candidates tbody tr')].map(r => r.innerText)"
    return report.execute_script(script)


def shown(report: Any) -> str:
    return report.find_element("id", "shown").text


def test_hostile_texts_are_shown_as_text_and_run_nothing(report) -> None:
    report.find_element("id", "search").send_keys("<script>alert(1)")
    assert "<script>alert(1)</script> refund please" in rows(report)[0]
    assert report.execute_script("return window.hacked") is None
    assert (
        report.execute_script("return document.querySelectorAll('main img, main script').length")
        == 0
    )


def test_the_page_makes_no_request_and_the_console_stays_silent(report) -> None:
    report.get_log("browser"), report.get_log("performance")
    report.refresh()
    report.find_element("id", "next").click()
    events = [json.loads(entry["message"])["message"] for entry in report.get_log("performance")]
    sent = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in sent if not url.startswith(("file:", "data:"))] == []
    assert report.get_log("browser") == []


def test_an_injected_script_is_stopped_by_the_policy(report) -> None:
    report.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        "document.body.append(s);"
    )
    assert report.execute_script("return window.hacked") is None
    assert "Content Security Policy" in report.get_log("browser")[0]["message"]


def test_filters_narrow_together_and_clear_again(report) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    assert shown(report) == "1,800 of 1,800 candidates"
    choose(report, "verdict", "dropped")
    choose(report, "reason", "Asked value missing")
    choose(report, "attribute", "baggage")
    found = rows(report)
    assert found
    assert all("Asked value missing" in row and "baggage" in row for row in found)
    assert not shown(report).startswith("1,800")
    report.find_element("css selector", "#filters button").click()
    everything = "1,800 of 1,800 candidates"  # a reset is filtered one event later
    WebDriverWait(report, 10).until(lambda page: shown(page) == everything)


def test_a_filter_that_passes_nothing_says_so(report) -> None:
    report.find_element("id", "search").send_keys("no such words anywhere")
    assert rows(report) == []
    assert shown(report) == "None of 1,800 candidates passes these filters."


def test_the_order_by_noise_puts_the_unscored_last(report) -> None:
    choose(report, "order", "most noise first")
    cells = report.find_elements("css selector", "#candidates td:nth-child(4)")
    scores = [float(cell.text) for cell in cells]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.5


def test_pages_turn_by_keyboard_alone(report) -> None:
    from selenium.webdriver.common.keys import Keys

    first = rows(report)
    report.find_element("id", "next").send_keys(Keys.ENTER)
    assert report.find_element("id", "page").text == "Page 2 of 72"
    assert rows(report) != first
    report.find_element("tag name", "body").send_keys("/")
    assert report.switch_to.active_element.get_attribute("id") == "search"


def test_asked_values_are_marked_and_hidden_marks_are_spelled_out(report) -> None:
    report.find_element("id", "search").send_keys("tomorrow")
    marks = report.execute_script(
        "return [...document.querySelectorAll('#candidates .text mark')].map(m => m.textContent)"
    )
    assert "tomorrow" in marks
    report.find_element("id", "search").clear()
    report.find_element("id", "search").send_keys("rebook my trip\u202c")
    assert "U+202E" in rows(report)[0]


def test_a_long_text_unfolds_on_demand(report) -> None:
    report.find_element("id", "search").send_keys("why why why")
    before = len(rows(report)[0])
    report.find_element("css selector", "button.more").click()
    assert len(rows(report)[0]) > before + 1_000
    assert "cut at 2,000 characters" in rows(report)[0]


@pytest.mark.parametrize("width", [380, 400, 768, 1280, 1600])
def test_no_width_needs_sideways_scrolling(report, width: int) -> None:
    resize(report, width)
    assert report.execute_script("return document.documentElement.scrollWidth") <= width
    image = base64.b64decode(report.get_screenshot_as_base64())
    assert image[:4] == b"\x89PNG"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_both_schemes(report, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    script = (
        "const c = n => getComputedStyle(document.documentElement).getPropertyValue(n).trim();"
        "return ['--paper','--card','--ink','--quiet','--link','--good','--bad','--made'].map(c)"
    )
    paper, card, *inks = report.execute_script(script)
    assert min(contrast(ink, ground) for ink in inks for ground in (paper, card)) >= 4.5


def test_every_control_has_a_label_and_every_table_has_headings(report) -> None:
    for inside, selector in (("labels", "input, select"), ("tHead", "table")):
        script = f"return [...document.querySelectorAll('{selector}')].filter(n => !n.{inside})"
        assert report.find_elements("css selector", selector)
        assert report.execute_script(script) == []
    bare = "return [...document.querySelectorAll('input, select')].filter(n => !n.labels.length)"
    assert report.execute_script(bare) == []


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two ``#rrggbb`` colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
