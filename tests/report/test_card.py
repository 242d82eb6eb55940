from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from msp.metrics.collect import RunSummary, summarise_run
from msp.records import Attribute
from msp.report.card import COLUMNS, escape_markdown, write_card
from msp.report.inputs import ReportInputs
from msp.storage.store import ObjectStore
from msp.tasks.ontology import Ontology


@pytest.fixture(scope="module")
def summary(fake_run) -> RunSummary:
    return summarise_run(fake_run.store, fake_run.inputs.seeds, seed=13)


def front_matter(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_front_matter_names_the_files_and_the_licence(fake_run, summary: RunSummary) -> None:
    fields = front_matter(write_card(fake_run.inputs, summary))
    assert fields["license"] == "other"
    assert fields["configs"][0]["data_files"] == [{"split": "train", "path": "*.parquet"}]
    assert fields["size_categories"] == ["n<1K"]


def test_counts_settings_and_every_column_are_on_the_card(fake_run, summary: RunSummary) -> None:
    card = write_card(fake_run.inputs, summary)
    assert f"{summary.num_kept} synthetic examples" in card
    assert "max_noise_score: 0.4" in card
    assert all(f"| `{name}` |" in card for name in COLUMNS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generate": {"method": "softsrv"}}, "SoftSRV, form mlp) was tuned on the seed examples"),
        ({"prompts": {"source": "both"}}, "A further one is computed from a seed example's"),
        ({"generate": {"method": "eda"}}, "no soft prompts were used"),
        ({"task": {"name": "gsm8k"}}, "`text` is a question with its answer on one line"),
    ],
)
def test_the_card_says_how_the_texts_came_about(
    fake_run, summary: RunSummary, changes: dict[str, dict[str, str]], words: str
) -> None:
    config = {"prompts": {"contextual_form": "mlp"}, **changes}
    inputs = replace(fake_run.inputs, run={**fake_run.inputs.run, "config": config})
    assert words in write_card(inputs, summary)


def test_the_line_that_loads_the_data_works(fake_run, summary: RunSummary, tmp_path) -> None:
    from datasets import load_dataset

    files = f"{fake_run.store.uri.removeprefix('file://')}/synthetic/*.parquet"
    found = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(found) == summary.num_kept
    assert found.column_names == list(COLUMNS)


def test_hostile_texts_cannot_leave_their_block(fake_run, summary: RunSummary) -> None:
    first = summary.sample[0]
    texts = ["```\n# <script>alert(1)</script>", "\u202e~~~\n---"]
    rows = tuple(
        replace(first, text=text, kept=True, candidate_id=i) for i, text in enumerate(texts)
    )
    card = write_card(fake_run.inputs, replace(summary, sample=rows))
    assert "<script>" not in card
    block = card.split("```json\n")[1].split("\n```")[0].splitlines()
    assert [json.loads(line)["text"] for line in block] == texts


def test_hostile_names_stay_in_their_table_cell(fake_run, summary: RunSummary) -> None:
    name = "a|b\n<img src=x> [x](http://y)"
    named = replace(summary, seeds_per_attribute={name: 3})
    ontology = Ontology((Attribute(name, "`code` **bold**"),))
    card = write_card(replace(fake_run.inputs, ontology=ontology), named)
    row = next(line for line in card.splitlines() if "img src" in line)
    assert "<img" not in card
    assert "\\[x\\](http\\:" in row
    assert row.replace("\\|", "").count("|") == 5


def test_the_card_of_an_empty_run_is_whole(empty_store: ObjectStore) -> None:
    inputs = ReportInputs({}, {}, (), (), Ontology(()))
    card = write_card(inputs, summarise_run(empty_store, (), seed=1))
    assert front_matter(card)["license"] == "other"
    assert "No attribute occurs yet." in card


def test_escaping_leaves_plain_words_alone() -> None:
    assert escape_markdown("plain words, and 3.5 (more)") == "plain words, and 3.5 (more)"
