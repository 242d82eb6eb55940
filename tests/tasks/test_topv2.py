"""TOPv2 is read as trees, with its published splits; what is not a tree is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.brackets import read_brackets, words_in, write_brackets

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "topv2"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared/data/topv2")

PARSE = "[IN:CREATE remind [SL:WHO me ] to [SL:TODO [IN:CALL call [SL:NAME Ann ] ] ] ]"
HEADER = "domain\tutterance\tsemantic_parse\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "low_resource_splits").mkdir()
    rows = {
        "reminder_train": PARSE,
        "reminder_eval": "[IN:GET my [SL:TODO lunch ] ]",
        "reminder_test": "[IN:GET my [SL:TODO dinner ] ]",
        "alarm_train": "[IN:STOP stop it ]",
        "alarm_test": "[IN:STOP stop ]",
        "low_resource_splits/reminder_train_25spis": PARSE,
        "low_resource_splits/reminder_valid_25spis": "[IN:GET it ]",
    }
    for name, parse in rows.items():
        (tmp_path / f"{name}.tsv").write_text(f"{HEADER}d\tu\t{parse}\n")
    return tmp_path


def load(folder: Path, **more: object) -> TaskData:
    settings = {"name": "topv2", "path": str(folder), "domain": "reminder", **more}
    return load_task(TaskConfig.model_validate(settings), seed=13)


def test_a_parse_keeps_its_tree_and_gives_labels_and_outermost_values(folder: Path) -> None:
    task = load(folder)
    (seed,) = task.seeds
    assert seed.text == "remind me to call Ann" and seed.target == PARSE
    assert seed.attributes == ("IN:CALL", "IN:CREATE", "SL:NAME", "SL:TODO", "SL:WHO")
    assert seed.values == {"SL:TODO": ("call Ann",), "SL:WHO": ("me",)}
    assert task.kind == "parse" and seed.uid == "reminder_train.tsv:2"


def test_few_shot_takes_the_published_splits_and_names_those_there_are(folder: Path) -> None:
    task = load(folder, setting="few_shot", shots=25)
    assert task.seeds[0].uid == "reminder_train_25spis.tsv:2"
    assert task.dev[0].uid == "reminder_valid_25spis.tsv:2"
    with pytest.raises(ConfigError, match=r"shots is 10, .*has for reminder the splits .*: 25\."):
        load(folder, setting="few_shot", shots=10)


def test_additional_data_comes_from_the_other_domains(folder: Path) -> None:
    task = load(folder, setting="additional", shots=25)
    assert [example.domain for example in task.source] == ["alarm"]
    with pytest.raises(ConfigError, match=r"'alarms'.* has the domains alarm, reminder"):
        load(folder, domain="alarms")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("d\tu\t[IN:A b", r"reminder_train.tsv, line 2: unbalanced brackets: '\[IN:A' at piece 1"),
        ("d\tu\t[IN:A b ] c", r"line 2: the parse has 2 parts at the top"),
        ("d\tu\t[SL:A b ]", r"line 2: the parse has 1 parts at the top"),
        ("d\tu\t[IN:A [X:B c ] ]", r"line 2: label 'X:B' is no intent .* and no slot"),
        ("d\tu\t[IN:A ]", r"line 2: the parse has no words"),
        ("d\tu", r"line 2: has 2 fields"),
    ],
)
def test_a_broken_line_is_named(folder: Path, row: str, message: str) -> None:
    (folder / "reminder_train.tsv").write_text(f"{HEADER}{row}\n")
    with pytest.raises(TaskDataError, match=message):
        load(folder)


def test_a_label_that_the_ontology_lacks_is_named_with_file_and_line(folder: Path) -> None:
    ontology = folder / "ontology.json"
    ontology.write_text('["IN:CREATE", "IN:GET", "IN:CALL", "SL:WHO", "SL:TODO", "SL:NAMES"]')
    with pytest.raises(TaskDataError, match=r"tsv, line 2: label 'SL:NAME' is not in ontology.js"):
        load(folder, ontology=str(ontology))


@given(st.integers(0, 5766))
@published
def test_a_published_parse_read_and_written_is_itself(row: int) -> None:
    lines = _test_lines()
    parse = lines[row].split("\t")[2]
    forest = read_brackets(parse)
    assert write_brackets(forest) == parse
    assert "".join(words_in(forest)) == "".join(lines[row].split("\t")[1].split())


def _test_lines() -> list[str]:
    return (PUBLISHED / "reminder_test.tsv").read_text().split("\n")[1:]


@published
@pytest.mark.parametrize(("shots", "num"), [(10, 211), (25, 473)])
def test_the_published_splits_are_read_whole(shots: int, num: int) -> None:
    task = load(PUBLISHED, setting="few_shot", shots=shots)
    assert len(task.test) == 5767 and len(task.seeds) == num
    assert any("seed examples: their text is in test" in note for note in task.notes)
