"""The compositional split: labels known one by one, new together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from msp.config import TaskConfig
from msp.errors import ConfigError
from msp.tasks import load_task

ROWS = [
    ("seed", "wifi please", ["wifi"], {}),
    ("seed", "spa at noon", ["spa"], {"time": ["noon"]}),
    ("seed", "bill and spa", ["bill", "spa"], {}),
    ("dev", "wifi and bill", ["wifi", "bill"], {}),
    ("test", "wifi and spa", ["wifi", "spa"], {}),
    ("test", "spa and the bill", ["bill", "spa"], {}),
    ("test", "the wifi bill", ["wifi", "bill"], {}),
    ("test", "pets in the spa", ["pets", "spa"], {}),
    ("test", "some wifi", ["wifi"], {}),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    names = ["wifi", "spa", "bill", "pets"]
    (tmp_path / "ontology.json").write_text(
        json.dumps({"attributes": {name: {} for name in names}, "slots": {"time": {}}})
    )
    rows = [
        {"split": split, "text": text, "attributes": labels, "values": values}
        for split, text, labels, values in ROWS
    ]
    (tmp_path / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path / "data.jsonl"


def load(path: Path, **settings: Any) -> Any:
    return load_task(TaskConfig(name="jsonl", path=str(path), **settings), seed=1)


def test_test_keeps_what_no_seed_or_dev_example_has_together_and_seeds_know_singly(
    path: Path,
) -> None:
    task = load(path, compositional=True)
    assert [example.text for example in task.test] == ["wifi and spa"]
    assert any("1 of 5 test examples are left" in note for note in task.notes)
    whole = load(path)
    assert task.seeds == whole.seeds and task.dev == whole.dev and len(whole.test) == 5
    assert task.content_hash != whole.content_hash


def test_a_task_without_such_examples_is_refused(path: Path) -> None:
    rows = path.read_text().splitlines()
    path.write_text("".join(f"{row}\n" for row in rows if "wifi and spa" not in row))
    with pytest.raises(ConfigError, match="none of the 4 test examples"):
        load(path, compositional=True)


def test_a_task_with_one_label_a_text_is_refused(plants_path: Path) -> None:
    with pytest.raises(ConfigError, match="exactly one label"):
        load(plants_path, compositional=True, predict="label")
