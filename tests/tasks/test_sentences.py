"""TREC-6 and SUBJ are read as published: a class's number and a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError
from msp.tasks import load_task
from msp.tasks.base import TaskData

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "trec_subj"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared/data/trec_subj")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "TREC.train.all").write_bytes(b"0 What is a caf\xe9 ?\n3 Who was Galileo ?\n")
    (tmp_path / "TREC.test.all").write_text("5 How far is Aspen ?\n")
    lines = [f"{number % 2} sentence {number} of a film\n" for number in range(40)]
    (tmp_path / "subj.all").write_text("".join(lines))
    return tmp_path


def load(name: str, folder: Path, **more: object) -> TaskData:
    settings = {"name": name, "path": str(folder), "dev_fraction": 0.0, **more}
    return load_task(TaskConfig.model_validate(settings), seed=13)


def test_a_line_is_a_class_and_a_sentence(folder: Path) -> None:
    task = load("trec", folder)
    assert [(e.text, e.attributes) for e in task.seeds] == [
        ("What is a café ?", ("description",)),
        ("Who was Galileo ?", ("person",)),
    ]
    assert task.kind == "single_label" and task.test[0].attributes == ("number",)
    assert all(attribute.is_described for attribute in task.ontology.attributes)


def test_a_fifth_of_subj_is_test(folder: Path) -> None:
    task = load("subj", folder)
    assert (len(task.seeds), len(task.test), task.kind) == (32, 8, "single_label")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("6 What ?", r"TREC.test.all, line 1: begins with '6'; .* 0 to 5"),
        ("What ?", r"line 1: begins with 'What'"),
        ("5 ", r"line 1: the sentence is empty"),
    ],
)
def test_a_broken_line_is_named(folder: Path, line: str, message: str) -> None:
    (folder / "TREC.test.all").write_text(f"{line}\n")
    with pytest.raises(TaskDataError, match=message):
        load("trec", folder)


def test_an_ontology_of_ones_own_names_as_many_classes(folder: Path) -> None:
    (folder / "two.json").write_text('["no", "yes"]')
    assert load("subj", folder, ontology=str(folder / "two.json")).seeds[0].attributes[0] in (
        "no",
        "yes",
    )
    with pytest.raises(TaskDataError, match="names 2 classes, but trec has 6"):
        load("trec", folder, ontology=str(folder / "two.json"))


@published
def test_the_published_files_have_their_sizes() -> None:
    trec, subj = load("trec", PUBLISHED), load("subj", PUBLISHED)
    assert len(trec.test) == 500 and 5_300 < len(trec.seeds) <= 5_452
    assert len(subj.seeds) + len(subj.test) > 9_900


def test_a_jsonl_task_of_classes_has_one_label_a_text(plants_path: Path, tmp_path: Path) -> None:
    task = load("jsonl", plants_path, predict="label")
    assert task.kind == "single_label" and len(task.seeds) == 30
    (tmp_path / "ontology.json").write_text('["a", "b"]')
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "x", "attributes": ["a", "b"]}\n{"text": "y", "attributes": ["a"]}\n')
    with pytest.raises(TaskDataError, match=r"rows.jsonl:1: has 2 labels \(a, b\)"):
        load("jsonl", path, predict="label")


def test_one_label_is_for_jsonl_alone(folder: Path) -> None:
    with pytest.raises((ConfigError, ValueError), match=r"predict is label, which jsonl knows"):
        load("trec", folder, predict="label")
