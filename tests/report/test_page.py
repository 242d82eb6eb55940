from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.records import Example
from msp.report.build import build_report
from msp.report.inputs import ReportInputs
from msp.report.table import safe_json
from msp.storage.store import ObjectStore
from msp.tasks.ontology import Ontology

NOTHING: dict[str, object] = {}


@pytest.fixture(scope="module")
def page(fake_run) -> str:
    return build_report(fake_run.store, fake_run.inputs).decode()


def table_of(page: str) -> dict[str, list[object]]:
    found = re.search(r'<script type="application/json" id="table">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    assert re.findall(r'(?:src|href|action)="(?!#|data:)[^"]*"', page) == []
    assert "@import" not in page
    assert "url(" not in page


def test_no_markup_of_a_candidate_reaches_the_page(page: str) -> None:
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert page.count("<script") == page.count("</script>") == 2
    texts = [row["t"] for row in table_of(page)["rows"]]
    assert "<script>alert(1)</script> refund please" in texts


def test_no_credentials_of_an_endpoint_reach_the_page(page: str) -> None:
    assert "me:secret" not in page
    assert "https://***@minio:9000" in page


def test_scores_counts_and_notes_are_on_the_page(page: str) -> None:
    for words in ("gains 3.9 points of micro-F1", "54.8", "1,800", "held out as dev", "epoch 9"):
        assert words in page


def test_texts_are_cut_and_their_true_length_is_told(page: str) -> None:
    longest = max(table_of(page)["rows"], key=lambda row: row["l"])
    assert (len(longest["t"]), longest["l"]) == (2_000, 5_000)


def test_the_report_of_a_run_that_has_done_nothing_says_what_is_missing(
    empty_store: ObjectStore,
) -> None:
    inputs = ReportInputs(NOTHING, NOTHING, (), (), Ontology(()))
    page = build_report(empty_store, inputs).decode()
    for command in ("msp train CONFIG", "msp generate CONFIG", "msp tune CONFIG"):
        assert command in page
    assert 'id="candidates"' not in page


def test_a_run_that_stopped_after_generate_shows_its_candidates_without_scores(fake_run) -> None:
    metrics = {**fake_run.inputs.metrics, "student": {}, "tune": {}, "profile": {"train": None}}
    page = build_report(fake_run.store, replace(fake_run.inputs, metrics=metrics)).decode()
    assert "No student has been trained yet" in page
    assert len(table_of(page)["rows"]) == 1_800


def test_a_run_that_kept_nothing_says_so(fake_run) -> None:
    from msp.metrics.collect import summarise_run

    summary = summarise_run(fake_run.store, fake_run.inputs.seeds, seed=1)
    none = replace(summary, num_kept=0, kept_per_attribute={}, noise_kept=(0,) * 100)
    page = build_report(fake_run.store, fake_run.inputs, summary=none).decode()
    assert "Every candidate was dropped" in page


@pytest.mark.parametrize("value", [None, [], "x", 3, {"seed_only": None}, {"augmented": [1]}])
def test_figures_of_an_unexpected_kind_do_not_break_the_report(fake_run, value: object) -> None:
    metrics = dict.fromkeys(["tune", "generate", "diversity", "student", "profile"], value)
    page = build_report(fake_run.store, replace(fake_run.inputs, metrics=metrics))
    assert b"</html>" in page


def test_names_of_attributes_are_escaped(fake_run) -> None:
    hostile = Example("x", "text \ud800", ("<b>bold</b>\u202e",))
    inputs = replace(fake_run.inputs, seeds=[hostile])
    page = build_report(fake_run.store, inputs).decode()
    assert "&lt;b&gt;bold&lt;/b&gt;[U+202E]" in page
    assert "<b>bold" not in page


@given(st.text())
def test_safe_json_keeps_every_text_and_holds_no_markup(text: str) -> None:
    found = safe_json({"text": text})
    assert json.loads(found) == {"text": text}
    assert not re.search("[<>&\u2028\u2029]", found)


def test_what_was_asked_of_each_attribute_is_beside_what_there_is(fake_run) -> None:
    quota = {
        "num_synthetic": 900,
        "num_delivered": 891,
        "num_rounds": 8,
        "attributes": {
            "refund": {
                "asked": 50,
                "accepted": 41,
                "delivered": 41,
                "commonest_reason": "off_topic",
            }
        },
    }
    generate = {**fake_run.inputs.metrics["generate"], "quota": quota}
    inputs = replace(fake_run.inputs, metrics={**fake_run.inputs.metrics, "generate": generate})
    page = build_report(fake_run.store, inputs).decode()
    assert "891 of 900 asked for, in 8 rounds" in page
    assert "off_topic" in page


def test_the_time_section_says_where_the_time_went(fake_run, page: str) -> None:
    section = page[page.index('id="time"') : page.index('id="examples"')]
    for words in ("Start Ray and check", "1,480", "91\u00a0%", "2.1\u00a0%", "31.0\u00a0s"):
        assert words in section
    assert "prefix cache" not in section


def test_agreement_confusion_and_the_third_student_are_shown(fake_run) -> None:
    relabel = {
        "num_relabelled": 400,
        "num_agreed": 300,
        "agreement": 0.75,
        "confusion": [{"asked": "delay", "given": "lost_property", "num": 61}],
    }
    metrics = fake_run.inputs.metrics
    before = {"micro_f1": {"mean": 52.7, "std": 0.4}}
    metrics = {
        **metrics,
        "generate": {**metrics["generate"], "relabel": relabel},
        "student": {**metrics["student"], "before_relabel": before},
    }
    page = build_report(fake_run.store, replace(fake_run.inputs, metrics=metrics)).decode()
    assert "of 300 (75\u00a0%) it is the class that was asked for" in page
    assert re.search(r"delay</th><td>lost property</td><td[^>]*>61", page)
    assert "Before relabelling</dt><dd>52.7" in page


def test_a_run_without_relabelling_says_nothing_of_it(page: str) -> None:
    assert "relabelling" not in page and "denoise.relabel)" not in page
