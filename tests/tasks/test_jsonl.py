"""A user's own file is read as it is meant, or refused with its line and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError
from msp.records import Example
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.sampling import text_key

ONTOLOGY = {
    "attributes": {"refund": {}, "check_in": {}, "greet": {}},
    "slots": {"date": {}, "time": {}},
}
Load = Callable[..., TaskData]


def row(text: str, *attributes: str, split: str | None = None, **others: Any) -> dict[str, Any]:
    found = {"text": text, "attributes": list(attributes), **others}
    return found if split is None else {**found, "split": split}


GOOD = [
    row("hello", "greet", split="train"),
    row("money back", "refund", split="seed"),
    row("in at 6 PM", "check_in", split="test", values={"time": ["6 pm"]}),
]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write rows (or raw bytes) and an ontology, then load them as a task."""

    def loaded(rows: Any, *, ontology: Any = ONTOLOGY, seed: int = 7, **config: Any) -> TaskData:
        (tmp_path / "ontology.json").write_text(json.dumps(ontology), encoding="utf-8")
        path = tmp_path / "mine.jsonl"
        lines = (
            rows if isinstance(rows, bytes) else b"\n".join(json.dumps(r).encode() for r in rows)
        )
        path.write_bytes(lines)
        return load_task(TaskConfig(name="jsonl", path=str(path), **config), seed=seed)

    return loaded


def unsplit(num: int) -> list[dict[str, Any]]:
    names = list(ONTOLOGY["attributes"])
    return [row(f"text number {i}", names[i % 3]) for i in range(num)]


def texts(examples: tuple[Example, ...]) -> set[str]:
    return {text_key(example.text) for example in examples}


def test_rows_become_examples_in_the_order_of_file_and_ontology(load: Load) -> None:
    task = load(
        [
            row(
                "at 6 pm today hi",
                "greet",
                "check_in",
                split="test",
                values={"time": ["6 PM"], "date": ["today"]},
            ),
            row("hello", "greet", split="seed"),
            row("refund", "refund", split="dev", values={"date": []}),
        ]
    )
    (example,) = task.test
    assert example.uid == "mine.jsonl:1"
    assert example.attributes == ("check_in", "greet")
    assert list(example.values.items()) == [("date", ("today",)), ("time", ("6 PM",))]
    assert (task.seeds[0].text, task.dev[0].text) == ("hello", "refund")
    assert task.dev[0].values == {} and task.domain == "general"


def test_a_bom_windows_line_ends_blank_lines_and_nulls_are_tolerated(load: Load) -> None:
    nulls = [{**r, "domain": None, "values": r.get("values")} for r in GOOD]
    lines = b"\r\n\r\n".join(json.dumps(r, ensure_ascii=False).encode() for r in nulls)
    task = load(b"\xef\xbb\xbf" + lines + b"\r\n \r\n")
    assert task.test[0].uid == "mine.jsonl:5"


def test_without_splits_rows_are_drawn_sixty_twenty_twenty(load: Load) -> None:
    task = load(unsplit(60))
    assert (len(task.seeds), len(task.dev), len(task.test)) == (36, 12, 12)
    for split in (task.seeds, task.dev, task.test):
        counts = [sum(name in e.attributes for e in split) for name in ONTOLOGY["attributes"]]
        assert max(counts) - min(counts) <= 1
    assert load(unsplit(60)).content_hash == task.content_hash
    assert load(unsplit(60), seed=8).content_hash != task.content_hash


def test_dev_comes_out_of_the_seed_examples_and_never_out_of_test(load: Load) -> None:
    rows = [{**r, "split": "seed" if i < 20 else "test"} for i, r in enumerate(unsplit(40))]
    task = load(rows, dev_fraction=0.25)
    assert (len(task.seeds), len(task.dev), len(task.test)) == (15, 5, 20)
    assert texts(task.dev) <= {f"text number {i}" for i in range(20)}


def test_a_few_shot_user_labels_no_more_than_asked(load: Load) -> None:
    rows = [{**r, "split": "seed" if i < 30 else "test"} for i, r in enumerate(unsplit(40))]
    task = load(rows, max_seed_examples=10)
    assert (len(task.seeds), len(task.dev)) == (8, 2)
    named = [*rows, *({**r, "split": "dev", "text": r["text"] + " b"} for r in unsplit(4))]
    task = load(named, max_seed_examples=10)
    assert (len(task.seeds), len(task.dev)) == (10, 4)


def test_no_text_stands_in_two_splits(load: Load) -> None:
    task = load(
        [
            row("Don't know!", split="seed"),
            row("good bye", split="seed"),
            row("hello", "greet", split="seed"),
            row("Good-bye", split="dev"),
            row("HELLO  there", split="dev"),
            row("dont know", split="test"),
            row("hello there", split="test"),
        ]
    )
    assert [e.text for e in task.seeds] == ["hello"]
    assert [e.text for e in task.dev] == ["Good-bye"]
    assert len(task.test) == 2
    assert "left out 1 of 3 seed examples: their text is in test" in task.notes[1]
    assert len([note for note in task.notes if "left out" in note]) == 3


def test_an_attribute_without_a_seed_example_is_noted(load: Load) -> None:
    notes = " ".join(load(GOOD, dev_fraction=0.0).notes)
    assert "no seed example carries 3 of 5 attributes (check_in, date, time)" in notes
    assert "no dev example" in notes


def test_rows_of_other_domains_are_left_out_and_counted(load: Load) -> None:
    ontology = {
        "attributes": {"refund": {"domain": ["shop"]}, "key": {"domain": ["hotel"]}, "greet": {}}
    }
    rows = [
        row("hello", "greet", split="seed", domain="shop"),
        row("my key", "key", split="seed", domain="hotel"),
        row("money", "refund", split="test"),
    ]
    task = load(rows, ontology=ontology, domain="shop")
    assert [e.domain for e in (*task.seeds, *task.test)] == ["shop", "shop"]
    assert [a.name for a in task.ontology.all] == ["refund", "greet"]
    assert (
        task.domain == "shop"
        and "left out 1 of 3 rows: they are of domains other than shop" in task.notes[0]
    )
    with pytest.raises(TaskDataError, match=r"'key' is not in ontology.json for domain 'shop'"):
        load([row("my key", "key", split="seed", domain="shop")], ontology=ontology)
    with pytest.raises(ConfigError, match="did you mean 'shop'"):
        load(rows, ontology=ontology, domain="shops")
    with pytest.raises(ConfigError, match="none of the 3 rows"):
        load([{**r, "domain": "hotel"} for r in GOOD], domain="bank")


def test_a_slot_named_like_a_label_is_kept_apart(load: Load) -> None:
    ontology = {"attributes": {"time": {}}, "slots": {"time": {}}}
    rows = [
        row("at 6", "time", split="seed", values={"time": ["6"]}),
        row("when", "time", split="test"),
    ]
    assert load(rows, ontology=ontology).seeds[0].values == {"slot:time": ("6",)}


BAD = [
    (row("hi", "greeet"), "attribute 'greeet' is not in ontology.json; did you mean 'greet'"),
    (row("hi", "date"), "'date'.*is a slot"),
    (row("hi", values={"greet": ["hi"]}), "'greet'.*is a label"),
    (row("hi", values={"dat": ["hi"]}), "slot 'dat'.*did you mean 'date'"),
    (row("hi", values={"date": ["today"]}), "value 'today' of 'date' does not occur"),
    (row("hi", values={"date": "hi"}), "values of 'date' are 'hi'; write a list"),
    (row("hi", values={"date": [""]}), "a value of 'date' is empty"),
    (row("hi", values={"date": [3]}), "a value of 'date' is 3"),
    (row("hi", values=["hi"]), "values are"),
    ({"text": "hi", "attributes": "greet"}, "attributes are 'greet'; write a list"),
    ({"text": "hi", "attributes": [1]}, "attributes are"),
    ({"text": "hi"}, "has no 'attributes'"),
    ({"attributes": []}, "has no 'text'"),
    (row(" "), "text is empty"),
    (row("x" * 20_001), "has 20,001 characters, but at most 20,000"),
    ({"text": 7, "attributes": []}, "text is 7"),
    ({"text": "\ud800", "attributes": []}, "half of a character pair"),
    (row("hi", splt="seed"), "key 'splt' is not known.*did you mean 'split'"),
    (row("hi", domain=["a"]), "domain is"),
    ([1, 2], "write an object"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_a_malformed_row_is_named_with_its_line(load: Load, bad: Any, message: str) -> None:
    bad = {**bad, "split": "seed"} if isinstance(bad, dict) else bad
    with pytest.raises(TaskDataError, match=message) as caught:
        load([*GOOD, bad])
    assert str(caught.value).startswith("mine.jsonl, line 4: ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "caf\xe9"}', "is not UTF-8 .byte 0xe9.; save the file as UTF-8"),
        (b'{"text": "hi", "attributes": [}', "is not JSON .Expecting value at column 31"),
        (b'{"text": "hi", "text": "ho", "attributes": []}', "has 'text' twice"),
        (b'{"text": "hi", "attributes": [], "split": "tset"}', "did you mean 'test'"),
        (b'{"text": "hi", "attributes": [], "split": ["seed"]}', "write seed .or train., dev or"),
        (b'{"text": "hi", "attributes": []}', "has no split, but line 1 has one"),
        (b'"' + b"x" * (1 << 20) + b'"', "is longer than 1 MiB"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"text": ' + b"9" * 5000 + b"}", "is not JSON that can be read"),
    ],
    ids=range(9),
)
def test_a_malformed_line_is_named_too(load: Load, line: bytes, message: str) -> None:
    with pytest.raises(TaskDataError, match=message) as caught:
        load(b"\n".join(json.dumps(r).encode() for r in GOOD) + b"\n\n" + line)
    assert str(caught.value).startswith("mine.jsonl, line 5: ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b"", "has no seed example"),
        (b"\n\n", "has no seed example"),
        (GOOD[:2], "has no test example"),
        (GOOD[2:], "has no seed example"),
        ([row("Hi!", split="seed"), row("hi", split="test")], "no seed example .left out 1 of 1"),
        ([row("hi", "greet")], "has no test example"),
    ],
    ids=range(6),
)
def test_a_file_without_seed_or_test_examples_is_refused(
    load: Load, rows: Any, message: str
) -> None:
    with pytest.raises(TaskDataError, match=message):
        load(rows)


def test_a_dev_fraction_that_leaves_nothing_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"task.dev_fraction is 1.0"):
        load(GOOD, dev_fraction=1.0)
    with pytest.raises(ConfigError, match=r"task.dev_fraction is 0.8"):
        load(unsplit(20), dev_fraction=0.8)


def test_paths_that_lead_nowhere_are_refused(tmp_path: Path, load: Load) -> None:
    for path, message in [
        (str(tmp_path / "none" / "x.jsonl"), "No such file"),
        ("sample:front_desc", "did you mean 'front_desk'"),
        ("sample:../samples", "the samples are front_desk"),
    ]:
        with pytest.raises((TaskDataError, ConfigError), match=message):
            load_task(TaskConfig(name="jsonl", path=path), seed=0)
    load(GOOD)
    (tmp_path / "mine.jsonl").unlink()
    with pytest.raises(TaskDataError, match=r"mine.jsonl: cannot be read .No such file"):
        load_task(TaskConfig(name="jsonl", path=str(tmp_path / "mine.jsonl")), seed=0)


def test_the_ontology_may_stand_elsewhere(tmp_path: Path, load: Load) -> None:
    load(GOOD)
    elsewhere = tmp_path / "labels.json"
    (tmp_path / "ontology.json").rename(elsewhere)
    config = TaskConfig(name="jsonl", path=str(tmp_path / "mine.jsonl"), ontology=str(elsewhere))
    assert len(load_task(config, seed=0).ontology.all) == 5


def test_the_sample_that_ships_is_read() -> None:
    task = load_task(TaskConfig(name="jsonl", path="sample:front_desk"), seed=13)
    assert task.notes == () and task.domain == "front_desk"
    assert min(len(task.seeds), len(task.dev), len(task.test)) > 50
    assert not texts(task.seeds) & texts(task.test)


def test_slots_can_be_predicted_where_their_values_stand(load: Load) -> None:
    rows = [
        {**row("at 6 pm", "how"), "values": {"time": ["6 pm"]}, "split": "seed"},
        {**row("7 or 7 pm", "how"), "values": {"time": ["7 pm", "or 7"]}, "split": "seed"},
        {**row("at 8", "how"), "values": {"time": ["8"]}, "split": "test"},
    ]
    ontology = {"attributes": {"how": "x"}, "slots": {"time": "y"}}
    task = load(rows, ontology=ontology, predict="slots", dev_fraction=0.0)
    assert task.kind == "tagging" and task.tags == ("time",)
    assert [example.target for example in task.seeds] == ["at [time 6 pm ]"]
    assert any("left out 1 of 3 examples" in note for note in task.notes)


def test_slots_that_the_ontology_lacks_cannot_be_predicted(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"task.predict is slots, but the ontology has none"):
        load(unsplit(10), predict="slots", ontology=["a", *ONTOLOGY["attributes"]])


def test_shots_are_of_each_label_and_few_in_all(load: Load) -> None:
    task = load(unsplit(60), setting="few_shot", shots=2, dev_fraction=0.0)
    counts = [sum(a.name in e.attributes for e in task.seeds) for a in task.ontology.attributes]
    assert len(task.seeds) == 6 and set(counts) == {2}
