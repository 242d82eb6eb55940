"""NLU++ is read as published; a damaged copy is refused with fold and example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.ontology import load_ontology
from msp.tasks.sampling import names_of, text_key

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "nlupp"
published = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the published NLU++ folder is not in ../shared/data/nlupp"
)
NUM_EXAMPLES = {"hotels": 1009, "banking": 2071}

ONTOLOGY = {
    "intents": {
        "greet": {"description": "is the intent to greet someone?", "domain": ["general"]},
        "refund": {"description": "about a refund?", "domain": ["banking", "hotels"]},
        "card": {"description": "about a card?", "domain": ["banking"]},
        "pets": {"description": "about pets?", "domain": ["hotels"]},
    },
    "slots": {
        "date": {"description": "which date?", "domain": ["general"]},
        "rooms": {"description": "how many rooms?", "domain": ["hotels"]},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the published form: five examples a fold, and a text that every fold has."""
    (tmp_path / "ontology.json").write_text(json.dumps(ONTOLOGY), encoding="utf-8")
    for domain, own in (("banking", "card"), ("hotels", "pets")):
        (tmp_path / domain).mkdir()
        for fold in range(20):
            day = {"text": "today", "span": [0, 5], "value": {"day": 1}}
            rows: list[dict[str, Any]] = [
                {"text": f"today, {domain} {fold}", "intents": [own], "slots": {"date": day}},
                {"text": f"Hello {domain} {fold}", "intents": ["greet", "greet"]},
                {"text": f"money for {domain} {fold}", "intents": ["refund", "greet"]},
                {"text": f"nothing {domain} {fold}"},
                {"text": "yes"},
            ]
            if domain == "hotels":
                rows[3]["slots"] = {"rooms": {"text": str(fold), "values": {}}}
            path = tmp_path / domain / f"fold{fold}.json"
            path.write_text(json.dumps(rows), encoding="utf-8")
    return tmp_path


def load(folder: Path, **config: Any) -> TaskData:
    return load_task(TaskConfig(name="nlupp", path=str(folder), **config), seed=13)


def folds_of(task: TaskData) -> tuple[set[str], set[str]]:
    training = {e.uid.partition(":")[0] for e in (*task.seeds, *task.dev)}
    return training, {e.uid.partition(":")[0] for e in task.test}


@pytest.mark.parametrize(
    ("setting", "fold", "training"),
    [("fold20", 3, {3}), ("fold10", 3, {6, 7}), ("full", 0, set(range(16)))],
)
def test_each_setting_trains_on_its_folds_and_tests_on_the_rest(
    folder: Path, setting: str, fold: int, training: set[int]
) -> None:
    task = load(folder, domain="hotels", setting=setting, fold=fold)
    expected = {f"hotels/fold{n}" for n in training}
    assert folds_of(task) == (expected, {f"hotels/fold{n}" for n in range(20)} - expected)
    assert [a.name for a in task.ontology.all] == ["greet", "refund", "pets", "date", "rooms"]
    assert task.ontology.attributes[0].description == "is the intent to greet someone?"
    assert len(task.test) == 5 * (20 - len(training))
    assert f"left out {len(training)} of {5 * len(training)} seed" in task.notes[0]


def test_cross_trains_on_the_other_domain_and_keeps_what_is_general(folder: Path) -> None:
    task = load(folder, domain="hotels", setting="cross")
    assert [a.name for a in task.ontology.all] == ["greet", "date"]
    assert {e.domain for e in (*task.seeds, *task.dev)} == {"banking"}
    assert len(task.test) == 100 and task.test[0].attributes == ()
    assert task.test[2].attributes == ("greet",) and task.test[3].values == {}
    assert task.test[0].values == {"date": ("today",)}


def test_values_are_the_strings_of_the_slots(folder: Path) -> None:
    task = load(folder, domain="hotels", setting="fold20")
    example = next(e for e in task.test if e.uid == "hotels/fold7:3")
    assert example.values == {"rooms": ("7",)} and example.text == "nothing hotels 7"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"domain": "hotel"}, "did you mean 'hotels'"),
        ({"domain": "hotels", "setting": "fold20", "fold": 20}, "fold20 has folds 0 to 19"),
        ({"domain": "hotels", "setting": "fold10", "fold": 10}, "fold10 has folds 0 to 9"),
        ({"domain": "hotels", "setting": "cross", "fold": 1}, "cross has no folds"),
    ],
)
def test_a_setting_that_there_is_not_is_refused(
    folder: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(folder, **config)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "hi", "intents": ["gret"]}], "example 0: intent 'gret' .*did you mean 'greet'"),
        ([{"text": "hi", "intents": ["card"]}], "'card' is not in ontology.json for domain 'hot"),
        ([{"text": "a"}, {"text": "hi", "intent": []}], "example 1: .*did you mean 'intents'"),
        ([{"text": "hi", "slots": {"date": {"text": "ho"}}}], "'ho' of 'date' does not occur"),
        ([{"text": "hi", "slots": {"date": "hi"}}], "not an object with a text"),
        ([{"text": "hi", "slots": []}], "slots are"),
        (["hi"], "not an object with a text"),
        ({"text": "hi"}, "not a list of examples"),
    ],
    ids=range(8),
)
def test_a_damaged_fold_is_refused(folder: Path, rows: Any, message: str) -> None:
    (folder / "hotels" / "fold3.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(TaskDataError, match=message) as caught:
        load(folder, domain="hotels")
    assert str(caught.value).startswith("hotels/fold3.json")


def test_missing_and_truncated_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "hotels" / "fold3.json").write_text('[{"text":\n "hi"', encoding="utf-8")
    with pytest.raises(TaskDataError, match=r"fold3.json: is not JSON .* at line 2, column 6"):
        load(folder, domain="hotels")
    (folder / "hotels" / "fold3.json").unlink()
    with pytest.raises(TaskDataError, match=r"fold3.json: cannot be read"):
        load(folder, domain="hotels")
    with pytest.raises(TaskDataError, match=r"has no ontology.json; give task.path the folder"):
        load(tmp_path / "none", domain="hotels")


@published
def test_the_published_set_is_read_whole() -> None:
    ontology = load_ontology(PUBLISHED / "ontology.json")
    assert (len(ontology.attributes), len(ontology.slots)) == (62, 17)
    for domain, num in NUM_EXAMPLES.items():
        other = next(name for name in NUM_EXAMPLES if name != domain)
        assert len(load(PUBLISHED, domain=other, setting="cross").test) == NUM_EXAMPLES[other]
        task = load(PUBLISHED, domain=domain, setting="cross")
        assert len(task.test) == num and len(task.ontology.attributes) == 25


@published
@pytest.mark.parametrize("domain", NUM_EXAMPLES)
@pytest.mark.parametrize("setting", ["fold20", "fold10", "full", "cross"])
def test_no_published_text_leaks_between_splits(domain: str, setting: str) -> None:
    task = load(PUBLISHED, domain=domain, setting=setting)
    seeds, dev, test = (
        {text_key(e.text) for e in split} for split in (task.seeds, task.dev, task.test)
    )
    assert not seeds & dev and not seeds & test and not dev & test
    assert len(task.dev) == pytest.approx(0.2 * (len(task.seeds) + len(task.dev)), abs=1)


@published
def test_attributes_that_dev_has_keep_seed_examples() -> None:
    task = load(PUBLISHED, domain="hotels", setting="fold20", fold=1)
    carried = {name for example in task.seeds for name in names_of(example)}
    assert {name for example in task.dev for name in names_of(example)} <= carried


def test_slots_are_labelled_at_the_characters_that_the_data_names(folder: Path) -> None:
    for fold in range(20):
        path = folder / "hotels" / f"fold{fold}.json"
        rows = json.loads(path.read_text(encoding="utf-8"))
        rows[3]["slots"]["rooms"] = {"text": "nothing", "span": [0, 7]}
        path.write_text(json.dumps(rows), encoding="utf-8")
    task = load(folder, domain="hotels", setting="fold20", predict="slots", dev_fraction=0.0)
    assert task.kind == "tagging" and task.tags == ("date", "rooms")
    targets = [example.target for example in task.seeds]
    assert "[date today ] , hotels 0" in targets and "[rooms nothing ] hotels 0" in targets


def test_a_slot_without_a_span_is_named_where_slots_are_predicted(folder: Path) -> None:
    with pytest.raises(TaskDataError, match=r"fold0.json, example 3: span of slot 'rooms' is None"):
        load(folder, domain="hotels", setting="fold20", predict="slots")
