"""The page in the real browser: keys, hostile text, two people, 100 decisions into a next run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from chromium import NEEDS_CHROMIUM, browser
from review_runs import HOSTILE_LABEL, HOSTILE_SLOT, HOSTILE_TEXTS, hostile_run, run_config, serving

from msp.review.decisions import read_decisions
from msp.review.gold import gold_examples
from msp.review.server import ReviewServer
from msp.storage.store import open_store
from msp.tasks.sampling import text_key

__all__ = ["browser"]
pytestmark = NEEDS_CHROMIUM


def wait(browser: Any, script: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda page: page.execute_script(f"return {script}"))


def visit(browser: Any, server: ReviewServer) -> Any:
    browser.get(server.door.url)
    wait(browser, "document.querySelector('#card .text') !== null")
    return browser


def press(browser: Any, keys: str) -> None:
    browser.switch_to.active_element.send_keys(keys)


def stored(browser: Any) -> None:
    wait(browser, "document.getElementById('state').dataset.waiting === '0'")


def text(browser: Any) -> str:
    return browser.execute_script("return document.querySelector('#card .text').textContent")


def correct(browser: Any, addition: str) -> None:
    """Edit the text by keyboard and save."""
    from selenium.webdriver.common.keys import Keys

    before = text(browser)
    press(browser, "e")
    press(browser, addition)
    browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
    wait(browser, "document.getElementById('editor').hidden")
    assert text(browser) != before


def test_hostile_labels_values_and_texts_stay_text(browser, tmp_path: Path) -> None:
    store = hostile_run(tmp_path)
    with serving(store.uri, lot=7) as server:
        visit(browser, server)
        seen = set()
        for _ in HOSTILE_TEXTS:
            seen.add(text(browser))
            assert HOSTILE_LABEL in browser.find_element("id", "card").text
            press(browser, "e")
            assert HOSTILE_LABEL in browser.find_element("id", "labels").text
            press(browser, "\ue00c")  # Escape
            press(browser, "j")
        assert HOSTILE_LABEL in browser.find_element("id", "attributes").text
        assert HOSTILE_SLOT in browser.find_element("id", "attributes").text
        press(browser, "kkkaaa")
        stored(browser)
        assert {t.replace("U+202E", "\u202e").replace("U+202C", "\u202c") for t in seen} == {
            *HOSTILE_TEXTS
        }
        assert browser.execute_script("return window.hacked") is None
        assert browser.execute_script("return document.querySelectorAll('img').length") == 0
        assert browser.execute_script("return document.querySelectorAll('script').length") == 2
        marked = browser.execute_script(
            "return [...document.querySelectorAll('#last')].map(n => n.innerHTML)"
        )
        assert all("<img" not in html and "<script" not in html for html in marked)
    assert {e.text for e in gold_examples(store).examples} == {*HOSTILE_TEXTS}


def test_an_injected_script_and_markup_are_stopped_by_the_policy(browser, reviewed: Path) -> None:
    with serving(reviewed, lot=7) as server:
        visit(browser, server)
        assert "token" not in browser.current_url
        tried = browser.execute_script(
            "const s = document.createElement('script');"
            "try { s.textContent = 'window.hacked = 1'; document.body.append(s); } catch {}"
            "try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); return 'let in'; }"
            "catch (error) { return error.name; }"
        )
        assert tried == "TypeError"
        assert browser.execute_script("return window.hacked") is None


def test_keys_decide_undo_and_move_and_a_held_key_decides_once(browser, reviewed: Path) -> None:
    store = open_store(str(reviewed))
    with serving(reviewed, lot=7) as server:
        visit(browser, server)
        first = text(browser)
        press(browser, "a")
        second = text(browser)
        assert second != first
        press(browser, "k")
        assert text(browser) == first
        assert "accepted" in browser.find_element("css selector", "#card .said").text
        press(browser, "r")
        assert text(browser) == second
        press(browser, "s")
        stored(browser)
        assert [w.verdict for w in read_decisions(store).words().values()] == ["rejected"]
        press(browser, "u")
        stored(browser)
        assert text(browser) == first
        assert [w.verdict for w in read_decisions(store).words().values()] == ["accepted"]
        press(browser, "u")
        stored(browser)
        assert read_decisions(store).words() == {}
        held = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', repeat: true}))"
        browser.execute_script(held)
        assert text(browser) == first
        press(browser, "?")
        assert browser.execute_script("return document.getElementById('help').open")
        press(browser, "\ue00c")
        browser.refresh()
        wait(browser, "document.querySelector('#card .text') !== null")


def test_labels_are_corrected_by_keyboard_and_a_fault_is_said(browser, reviewed: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    with serving(reviewed, lot=7) as server:
        visit(browser, server)
        press(browser, "e")
        area = browser.switch_to.active_element
        area.clear()
        browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
        wait(browser, "document.getElementById('fault').textContent.includes('empty')")
        area.send_keys("is there a parking space for Ms Ann Lee")
        picker = browser.find_element("id", "picker")
        for _ in range(12):
            picker.send_keys(Keys.BACKSPACE)
        picker.send_keys("parki", Keys.ENTER)
        picker.send_keys("guest name", Keys.ENTER)
        press(browser, "Ann Lee")
        browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
        wait(browser, "document.getElementById('editor').hidden")
        stored(browser)
    (example,) = gold_examples(open_store(str(reviewed))).examples
    assert (example.attributes, dict(example.values)) == (
        ("parking",),
        {"guest_name": ("Ann Lee",)},
    )


def test_two_people_decide_at_once_and_nothing_is_lost(browser, reviewed: Path) -> None:
    with serving(reviewed, lot=7) as server:
        windows = []
        for _ in range(2):
            browser.switch_to.new_window("tab")
            windows.append(browser.current_window_handle)
            visit(browser, server)
        for _ in range(15):
            for window, key in zip(windows, "ar", strict=True):
                browser.switch_to.window(window)
                press(browser, key)
        for window in windows:
            browser.switch_to.window(window)
            stored(browser)
    words = read_decisions(open_store(str(reviewed))).words().values()
    assert Counter(word.verdict for word in words) == {"accepted": 15, "rejected": 15}


def msp(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "msp.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.ray
def test_a_hundred_decisions_of_a_driven_browser_change_the_next_run(
    browser, reviewed: Path, tmp_path: Path
) -> None:
    store = open_store(str(reviewed))
    with serving(reviewed, lot=7) as server:
        visit(browser, server)
        for number in range(10):
            press(browser, "arararara")
            correct(browser, f" and once more, number {number}")
            stored(browser)
    verdicts = Counter(word.verdict for word in read_decisions(store).words().values())
    assert verdicts == {"accepted": 50, "rejected": 40, "corrected": 10}
    gold = gold_examples(store)
    assert len(gold.examples) > 50 and gold.num_vanished == 0

    config = run_config(tmp_path / "next", reviewed=[str(reviewed)])
    path = tmp_path / "next.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    done = msp("generate", str(path))
    assert done.returncode == 0, done.stderr
    assert f"{len(gold.rejected)} rejected texts are not kept again" in done.stderr
    units = [
        u
        for p in (tmp_path / "next" / "candidates").iterdir()
        for u in pq.read_table(p).to_pylist()
    ]
    assert {e.uid for e in gold.examples} <= {unit["seed_uid"] for unit in units}
    bad = {text_key(text) for text in gold.rejected}
    made = [c for unit in units for c in unit["candidates"]]
    assert "rejected_by_reviewer" in {c["reason"] for c in made}
    assert not [c for c in made if c["kept"] and text_key(c["text"]) in bad]

    prints = [
        json.loads((folder / "run.json").read_text())["fingerprint"]
        for folder in (tmp_path / "next", reviewed)
    ]
    assert {key for key in prints[0] if prints[0][key] != prints[1][key]} == {"task.reviewed"}
    with serving(reviewed, lot=8) as server:
        visit(browser, server)
        press(browser, "a")
        stored(browser)
    again = msp("generate", str(path))
    assert again.returncode == 2
    assert "was made with other settings: task.reviewed (" in again.stderr
