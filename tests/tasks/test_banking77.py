"""BANKING77 is read as published: one intent a question; a broken row is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.tasks import load_task
from msp.tasks.base import TaskData

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "banking77"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared/data/banking77")

TRAIN = 'text,category\n"Where, oh where\nis it?",card_arrival\nIs it lost?,card_lost\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "categories.json").write_text('["card_arrival", "card_lost"]')
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "test.csv").write_text("text,category\nis it LOST,card_lost\nhm,card_lost\n")
    return tmp_path


def load(folder: Path, **more: object) -> TaskData:
    settings = {"name": "banking77", "path": str(folder), "dev_fraction": 0.0, **more}
    return load_task(TaskConfig.model_validate(settings), seed=13)


def test_a_row_is_a_text_and_its_one_label(folder: Path) -> None:
    task = load(folder)
    assert [(e.text, e.attributes) for e in task.seeds] == [
        ("Where, oh where\nis it?", ("card_arrival",))
    ]
    assert task.kind == "single_label" and len(task.test) == 2
    assert any("left out 1 of 2 seed examples" in note for note in task.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("hi,card_arival", r"train.csv, line 2: category 'card_arival' .* mean 'card_arrival'"),
        ("hi, there,card_lost", r"line 2: has 3 fields"),
        (",card_lost", r"line 2: text is empty"),
        ('"open,card_lost', r"train.csv, line 2: is not CSV"),
    ],
)
def test_a_broken_row_is_named(folder: Path, row: str, message: str) -> None:
    (folder / "train.csv").write_text(f"text,category\n{row}\n")
    with pytest.raises(TaskDataError, match=message):
        load(folder)


@published
def test_shots_are_of_each_intent() -> None:
    task = load(PUBLISHED, setting="few_shot", shots=5)
    assert len(task.seeds) == 5 * 77 and len(task.test) == 3080
    assert {e.attributes for e in task.seeds} == {(a.name,) for a in task.ontology.attributes}
