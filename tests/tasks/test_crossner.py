"""CrossNER is read as published, entity by entity; what is not as published is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError
from msp.tasks import load_task
from msp.tasks.base import TaskData

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "crossner"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared/data/crossner")

TRAIN = "In O|Paris B-location|\n|Rolling B-band|Stones I-band|, O|Paris B-location|\n|No O|one O"
TEST = "Berlin B-location|rocks O|\n|no O|one O"


def as_file(rows: str) -> str:
    return rows.replace(" ", "\t").replace("|", "\n").replace("\n\n\n", "\n\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for domain in ("music", "politics"):
        (tmp_path / domain).mkdir()
        for name, rows in (("train", TRAIN), ("dev", "Rome B-location"), ("test", TEST)):
            (tmp_path / domain / f"{name}.txt").write_text(as_file(rows))
    politics = as_file("The O|Greens B-politicalparty|won O")
    (tmp_path / "politics/train.txt").write_text(politics)
    return tmp_path


def load(folder: Path, **more: object) -> TaskData:
    settings = {"name": "crossner", "path": str(folder), "domain": "music", **more}
    return load_task(TaskConfig.model_validate(settings), seed=13)


def test_a_sentence_has_its_entities_and_where_they_stand(folder: Path) -> None:
    task = load(folder)
    (one, two) = task.seeds[:2]
    assert one.uid == "music/train:0" and one.text == "In Paris"
    assert two.target == "[band Rolling Stones ] , [location Paris ]"
    assert two.attributes == ("band", "location") and two.values["band"] == ("Rolling Stones",)
    assert task.kind == "tagging" and "band" in task.tags and len(task.tags) == 13


def test_a_sentence_that_is_in_test_too_is_left_out_of_the_seeds_and_reported(folder) -> None:
    task = load(folder)
    assert [example.uid for example in task.seeds] == ["music/train:0", "music/train:1"]
    assert any("left out 1 of 3 seed examples: their text is in test" in n for n in task.notes)


def test_additional_data_is_beside_the_seed_examples(folder: Path) -> None:
    task = load(folder, setting="additional")
    assert [example.domain for example in task.source] == ["politics"]
    assert "politicalparty" in task.ontology.positions and "politicalparty" not in task.tags
    assert load(folder).content_hash != task.content_hash


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("In O|Paris I-location", r"music/train.txt, line 2: I-location follows O.*write B-loc"),
        ("Paris B-band|x I-location", r"line 2: I-location follows B-band"),
        ("Paris B-locaton", r"line 1: entity type 'locaton' is not in .*did you mean 'location'"),
        ("Paris X-location", r"line 1: tag 'X-location' is not O, B-TYPE or I-TYPE"),
        ("Paris", r"line 1: is 'Paris'; write a token, a tab and its tag"),
    ],
)
def test_a_broken_line_is_named(folder: Path, rows: str, message: str) -> None:
    (folder / "music/train.txt").write_text(as_file(rows))
    with pytest.raises(TaskDataError, match=message):
        load(folder)


def test_a_domain_or_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'musik'; .* has the domains music, politics"):
        load(folder, domain="musik")
    (folder / "music/dev.txt").unlink()
    with pytest.raises(TaskDataError, match=r"music/dev.txt: cannot be read"):
        load(folder)


@published
@pytest.mark.parametrize(("domain", "num"), [("music", 465), ("literature", 416)])
def test_the_published_files_are_read_whole(domain: str, num: int) -> None:
    task = load(PUBLISHED, domain=domain)
    assert len(task.test) == num
    few = load(PUBLISHED, domain=domain, setting="few_shot", shots=2)
    counts = [sum(a.name in e.attributes for e in few.seeds) for a in few.ontology.attributes]
    assert len(few.seeds) < len(task.seeds) and min(counts) >= 2
