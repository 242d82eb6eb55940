"""The ontology keeps the file's order and refuses what would make two attributes one."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from msp.errors import TaskDataError
from msp.records import Attribute
from msp.tasks.ontology import Ontology, load_ontology

FULL = {
    "attributes": {
        "refund": {"description": "money back", "domain": ["shop", "bank"]},
        "check_in": {"domain": ["hotel"]},
        "greet": {"description": "says hello", "domain": ["general"]},
    },
    "slots": {"greet": {"description": "who is greeted"}, "date": {"domain": ["hotel"]}},
}


def written(folder: Path, content: Any) -> Path:
    path = folder / "ontology.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_labels_come_before_slots_and_both_keep_the_order_of_the_file(tmp_path: Path) -> None:
    ontology = load_ontology(written(tmp_path, FULL))
    assert [a.name for a in ontology.all] == ["refund", "check_in", "greet", "slot:greet", "date"]
    assert [ontology.index(a.name) for a in ontology.all] == [0, 1, 2, 3, 4]
    assert [a.is_slot for a in ontology.all] == [False, False, False, True, True]
    assert ontology.order(["date", "greet", "refund", "date"]) == ("refund", "greet", "date")
    assert (ontology.slot_name("greet"), ontology.slot_name("date")) == ("slot:greet", "date")


def test_a_missing_description_is_the_name_in_words(tmp_path: Path) -> None:
    ontology = load_ontology(written(tmp_path, FULL))
    assert ontology.attributes[1].description == "check in"
    assert ontology.slots[0].description == "who is greeted"


@pytest.mark.parametrize(
    ("name", "description", "words"),
    [
        ("check_in", "arriving", "check in"),
        ("IN:GET_REMINDER", "", "get reminder"),
        ("musicgenre", "a Music genre", "music genre"),
        ("musicgenre", "a genre of music", "musicgenre"),
        ("wifi", "wi-fi in the room", "wi fi"),
        ("event", "an event", "event"),
    ],
)
def test_a_name_in_words_is_taken_apart_where_name_or_description_show_how(
    name: str, description: str, words: str
) -> None:
    assert Attribute(name, description).words == words


def test_a_domain_knows_its_own_attributes_and_the_general_ones(tmp_path: Path) -> None:
    ontology = load_ontology(written(tmp_path, FULL))
    assert list(ontology.domains) == ["shop", "bank", "hotel"]
    assert [a.name for a in ontology.for_domain("bank").all] == ["refund", "greet", "slot:greet"]
    assert [a.name for a in ontology.for_domain("general").all] == ["greet", "slot:greet"]
    with pytest.raises(TaskDataError, match="has bank, hotel, shop; did you mean 'hotel'"):
        ontology.for_domain("hotels")


@pytest.mark.parametrize(
    "content",
    [
        {"refund": "money back", "check_in": None},
        [{"name": "refund", "description": "money back"}, "check_in"],
        {"attributes": ["refund", "check_in"]},
        {"intents": {"refund": {"description": "money back"}, "check_in": {}}},
    ],
)
def test_simpler_forms_are_read(tmp_path: Path, content: Any) -> None:
    ontology = load_ontology(written(tmp_path, content))
    assert [a.name for a in ontology.attributes] == ["refund", "check_in"]
    assert ontology.slots == () and ontology.domains == {}
    assert ontology.for_domain("anything") is ontology


def test_a_label_may_be_called_attributes(tmp_path: Path) -> None:
    ontology = load_ontology(written(tmp_path, {"attributes": "asks for them", "other": "no"}))
    assert [a.name for a in ontology.attributes] == ["attributes", "other"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"attributes": {"a": {}, "a": {}}}', "has 'a' twice"),
        (["a", "b", "a"], "names 'a' twice"),
        ({"attributes": {"a": {}, "slot:a": {}}, "slots": {"a": {}}}, "names 'slot:a' twice"),
        ({"attributes": {"a": {}}, "slotz": {}}, "'slotz' is not known.*did you mean 'slots'"),
        ({"attributes": {"a": {"descripton": "x"}}}, "did you mean 'description'"),
        ({"attributes": {"a": {"description": 3}}}, "description is 3; write a string"),
        ({"attributes": {" a": {}}}, "spaces around it"),
        ({"attributes": {"a\nb": {}}}, "control marks"),
        ({"attributes": {"": {}}}, "a name is empty"),
        ({"attributes": {"x" * 201: {}}}, "at most 200"),
        ({"attributes": {"a": {"domain": ["shop"]}}, "domains": {"shops": ""}}, "'shops'"),
        ({"attributes": {}, "slots": {"a": {}}}, "names no attribute"),
        ({"attributes": 3}, "attributes is 3"),
        ({"attributes": {"a": {}}, "intents": {"b": {}}}, "both attributes and intents"),
        ([3], "entry 0: is 3"),
        ("{}", "names no attribute"),
        ("", "is empty"),
        ("not json", "is not JSON"),
        ('{"a": "\\ud800"}', "half of a character pair"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_ontology_is_refused_in_words(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(TaskDataError, match=message) as caught:
        load_ontology(written(tmp_path, content))
    assert "ontology.json" in str(caught.value) and len(str(caught.value)) < 500


def test_a_missing_ontology_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match="No such file"):
        load_ontology(tmp_path / "ontology.json")
    with pytest.raises(TaskDataError, match="cannot be read"):
        load_ontology(tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    ontology = Ontology((Attribute("refund", "money back"),))
    with pytest.raises(TaskDataError, match="'refnd' is not in the ontology; did you mean 'ref"):
        ontology.index("refnd")


def test_an_ontology_travels_between_processes(tmp_path: Path) -> None:
    ontology = load_ontology(written(tmp_path, FULL))
    ontology.index("date")
    assert pickle.loads(pickle.dumps(ontology)) == ontology
