"""ActDial's segments become utterances with several acts; a broken segment is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.tasks import load_task
from msp.tasks.base import TaskData

SEGMENTS = [
    ("daily_train_0_0_0", "Hello there !", "greet"),
    ("daily_train_0_0_1", "how are you ?", "ask_how"),
    ("daily_train_0_1_0", "um", "No Need to Label"),
    ("daily_train_0_1_1", "fine", "inform"),
    ("daily_train_1_0_0", "uh", "No Need to Label"),
    ("daily_train_2_0_0", "bye", "greet"),
    ("daily_dev_3_0_0", "well", "inform"),
    ("daily_test_4_0_0", "good day", "greet"),
]


def write(path: Path, segments: object) -> Path:
    path.write_text(json.dumps(segments))
    return path


def rows(segments: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [dict(zip(("index", "fs_text", "annotation"), s, strict=True)) for s in segments]


def load(path: Path, **more: object) -> TaskData:
    settings = {"name": "actdial", "path": str(path), **more}
    return load_task(TaskConfig.model_validate(settings), seed=13)


def test_the_segments_of_an_utterance_are_one_text_with_all_their_acts(tmp_path: Path) -> None:
    task = load(write(tmp_path / "daily.json", rows(SEGMENTS)))
    assert [(e.uid, e.text, e.attributes) for e in task.seeds] == [
        ("daily_train_0_0", "Hello there ! how are you ?", ("ask_how", "greet")),
        ("daily_train_0_1", "fine", ("inform",)),
        ("daily_train_2_0", "bye", ("greet",)),
    ]
    assert [len(task.dev), len(task.test)] == [1, 1]
    assert any("left out 1 of 6 utterances" in note for note in task.notes)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ({"index": "daily_trian_0_0_0", "fs_text": "x", "annotation": "y"}, "index is 'daily_tri"),
        ({"index": "daily_train_0_0", "fs_text": "x", "annotation": "y"}, "with a split of train"),
        ({"index": "daily_train_0_0_0", "fs_text": "x"}, "a segment has index, fs_text, annot"),
        ({"index": "daily_train_0_0_0", "fs_text": " ", "annotation": "y"}, "fs_text is empty"),
    ],
)
def test_a_broken_segment_is_named(tmp_path: Path, segment, message: str) -> None:
    path = write(tmp_path / "daily.json", [*rows(SEGMENTS), segment])
    with pytest.raises(TaskDataError, match=rf"daily.json, segment 8: .*{message}"):
        load(path)


def test_an_act_that_the_ontology_lacks_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "daily.json", rows(SEGMENTS))
    ontology = write(tmp_path / "ontology.json", ["greet", "informs", "ask_how"])
    with pytest.raises(
        TaskDataError, match=r"segment 3: act 'inform' is not in ontology.json; did"
    ):
        load(path, ontology=str(ontology))


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match="not a list of segments"):
        load(write(tmp_path / "daily.json", {"a": 1}))
