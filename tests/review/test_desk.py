"""The desk: what comes first, who gets what, and what a decision is turned into."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from review_runs import candidate_rows, finish, make_run, run_config

from msp.config import RunConfig
from msp.errors import ConfigError, HeldError, TaskDataError, UserError
from msp.records import CANDIDATES_SCHEMA, Candidate, Constraint, Unit, unit_row
from msp.review import opened, queue
from msp.review.desk import Desk, RequestError
from msp.review.gold import load_reviewed_task
from msp.review.labelling import Reviewable, accepted_example, corrected_example
from msp.review.opened import open_finished
from msp.review.queue import KEPT_PER_TURN
from msp.storage import layout
from msp.storage.holder import this_process
from msp.storage.parquet import table_bytes
from msp.storage.store import open_run_store, open_store
from msp.tasks import load_task
from msp.tasks.base import TaskData

OpenDesk = Callable[[Path], Desk]


def handed(desk: Desk, session: str, num: int, attribute: str | None = None) -> list[int]:
    return [int(c["id"]) for c in desk.hand_out(session, num, attribute)["candidates"]]


def test_the_attribute_that_the_student_knows_least_comes_first(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    scores = {"per_attribute": {"parking": 12.5, "wifi": 40.0, "billing": 90.0}}
    (reviewed / layout.METRICS_JSON).write_text(json.dumps({"student": {"augmented": scores}}))
    desk = desk_of(reviewed)
    start = desk.start()
    names = [row[0] for row in start["progress"]["attributes"]]
    assert names[:3] == ["parking", "wifi", "billing"]
    shown = desk.hand_out(start["session"], KEPT_PER_TURN)["candidates"]
    assert len(shown) == KEPT_PER_TURN and all("parking" in c["attributes"] for c in shown)


def test_without_scores_the_attribute_with_the_fewest_seed_examples_comes_first(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    task = load_task(run_config(reviewed).task, seed=13)
    counts = {
        name: sum(name in (*s.attributes, *s.values) for s in task.seeds)
        for name in task.ontology.positions
    }
    names = [row[0] for row in desk_of(reviewed).start()["progress"]["attributes"]]
    assert names == sorted(names, key=lambda name: (counts[name], name))


def test_kept_ones_and_ones_that_just_missed_the_cut_are_shown_and_no_others(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    desk = desk_of(reviewed)
    rows = {row["candidate_id"]: row for row in candidate_rows(open_store(str(reviewed)))}
    reasons = {rows[number]["reason"] for number in desk._queue.candidates}
    assert reasons == {None, "off_topic"}
    assert len(desk._queue.line) == len(set(desk._queue.line)) == len(desk._queue.candidates)
    by_name = {
        name: [rows[n]["noise_score"] for n in ids if rows[n]["reason"]]
        for name, ids in desk._queue.attributes.items()
    }
    for name, noises in by_name.items():
        rest = [
            row["noise_score"]
            for row in rows.values()
            if row["reason"] == "off_topic"
            and name in (*row["attributes"], *(slot for slot, _ in row["values"]))
        ]
        assert sorted(noises)[: queue.MAX_DROPPED] == sorted(rest)[: queue.MAX_DROPPED]


def test_what_is_read_and_held_is_bounded(
    reviewed: Path, desk_of: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_SHARDS", 2)
    monkeypatch.setattr(queue, "MAX_KEPT", 3)
    monkeypatch.setattr(queue, "MAX_DROPPED", 1)
    drawn = desk_of(reviewed)._queue
    assert len({(c.round, c.shard) for c in drawn.candidates.values()}) <= 2
    assert max(len(ids) for ids in drawn.attributes.values()) <= 4


def test_two_people_are_not_shown_the_same_and_nobody_twice(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    desk = desk_of(reviewed)
    one, two = desk.start()["session"], desk.start()["session"]
    mine, theirs = handed(desk, one, 20), handed(desk, two, 20)
    assert len({*mine, *theirs}) == 40
    assert not set(handed(desk, one, 20)) & {*mine, *theirs}
    desk.release(one, mine[0])
    assert mine[0] in handed(desk, two, 1)


def test_the_last_ones_are_shown_to_two_rather_than_to_none(
    reviewed: Path, desk_of: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_SHARDS", 1)
    monkeypatch.setattr(queue, "MAX_KEPT", 1)
    desk = desk_of(reviewed)
    one, two = desk.start()["session"], desk.start()["session"]
    mine: list[int] = []
    while found := handed(desk, one, 50):
        mine += found
    assert sorted(mine) == sorted(desk._queue.candidates)
    assert set(handed(desk, two, 5)) <= set(mine)


def test_a_decision_on_another_server_is_seen_at_the_next_fetch(
    reviewed: Path, desk_of: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msp.review.desk.REFRESH_SECONDS", 0.0)
    here, there = desk_of(reviewed), desk_of(reviewed)
    one, two = here.start()["session"], there.start()["session"]
    (number,) = handed(here, one, 1)
    here.decide(one, 0, candidate_id=number, verdict="rejected")
    assert number not in handed(there, two, 50)
    assert there.hand_out(two, 0)["progress"]["num_decided"] == 1
    assert number not in desk_of(reviewed)._queue.candidates


def test_undo_brings_a_candidate_back_and_takes_back_only_ones_own(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    desk = desk_of(reviewed)
    one, two = desk.start()["session"], desk.start()["session"]
    (number,) = handed(desk, one, 1)
    desk.decide(one, 0, candidate_id=number, verdict="accepted")
    with pytest.raises(RequestError, match="has made no decision"):
        desk.undo(two, 0, candidate_id=number, undoes=0)
    desk.undo(one, 1, candidate_id=number, undoes=0)
    assert desk.summary()["num_accepted"] == 0
    assert number in handed(desk, two, 1)


def test_a_page_of_an_earlier_server_is_told_so(reviewed: Path, desk_of: OpenDesk) -> None:
    with pytest.raises(RequestError, match="load it again"):
        desk_of(reviewed).hand_out("f" * 16, 1)


def test_a_focus_on_one_attribute_shows_its_candidates_alone(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    desk = desk_of(reviewed)
    found = desk.hand_out(desk.start()["session"], 10, "wifi")["candidates"]
    assert len(found) == 10 and all("wifi" in c["attributes"] for c in found)
    with pytest.raises(RequestError, match="nothing_such"):
        desk.hand_out(desk.start()["session"], 1, "nothing_such")


# ---- what can be opened


def test_a_run_under_way_is_refused_and_its_writer_named(reviewed: Path) -> None:
    open_store(str(reviewed)).write(layout.HOLDER_JSON, this_process(60).to_json())
    with pytest.raises(HeldError, match=r"being written by process \d+ on .*; wait for it"):
        open_finished(str(reviewed))


def test_a_run_that_was_left_unfinished_is_refused(reviewed: Path) -> None:
    (reviewed / layout.MANIFEST).unlink()
    with pytest.raises(ConfigError, match=r"not finished.*Run its command again"):
        open_finished(str(reviewed))


def test_a_place_without_a_run_is_refused_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run is there"):
        open_finished(str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_data_is_gone_is_refused_and_says_why(tmp_path: Path) -> None:
    from review_runs import hostile_run

    store = hostile_run(tmp_path)
    (tmp_path / "mine.jsonl").rename(tmp_path / "moved.jsonl")
    with pytest.raises(ConfigError, match=r"cannot be read here.*mine\.jsonl"):
        open_finished(store.uri)


def test_a_run_of_questions_with_options_is_refused(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_questions(config: RunConfig) -> TaskData:
        return replace(load_reviewed_task(config), kind="choice")

    monkeypatch.setattr(opened, "load_reviewed_task", load_questions)
    with pytest.raises(ConfigError, match="questions with options, which the page"):
        open_finished(str(reviewed))


def test_changed_data_is_said_and_its_seed_examples_are_not_shown(tmp_path: Path) -> None:
    from review_runs import hostile_run

    store = hostile_run(tmp_path)
    with (tmp_path / "mine.jsonl").open("a") as file:
        file.write('\n{"text": "new", "attributes": ["plain"], "split": "seed"}')
    run = open_finished(store.uri)
    assert run.seeds == {} and "has changed since the run" in run.notes[0]


# ---- what a decision stands for


@pytest.fixture
def task() -> TaskData:
    return load_task(run_config(Path("unused")).task, seed=13)


def shown(text: str, **values: tuple[str, ...]) -> Reviewable:
    return Reviewable(9, 0, 0, "s", "front_desk", ("wifi", "parking"), values, text, "", None, 0.1)


def test_an_accepted_candidate_has_the_values_that_stand_in_it(task: TaskData) -> None:
    candidate = shown("the wifi of Room 5", room_number=("room 5",), time=("6 pm",))
    slots = [slot.name for slot in task.ontology.slots][:2]
    candidate = replace(candidate, values=dict(zip(slots, [("room 5",), ("6 pm",)], strict=True)))
    example = accepted_example(candidate, task)
    assert example.values == {slots[0]: ("room 5",)}
    assert set(example.attributes) == {"wifi", "parking"} and example.target is None


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        ({"text": " "}, "empty"),
        ({"text": 7}, "write a string"),
        ({"text": "x" * 20_001}, "20,001"),
        ({"attributes": ["wfi"]}, "did you mean 'wifi'"),
        ({"attributes": "wifi"}, "choose them from the list"),
        ({"attributes": []}, "no label is chosen"),
        ({"values": {"guest_name": ["Ann"]}}, "does not occur in the text"),
        ({"values": ["Ann"]}, "list of strings"),
        ({"values": {"guest_nam": ["slow"]}}, "guest_nam"),
        ({"attributes": ["guest_name"]}, "is a slot"),
    ],
)
def test_a_correction_that_is_no_example_is_refused(
    task: TaskData, correction: dict[str, object], message: str
) -> None:
    whole = {"text": "slow wifi", "attributes": ["wifi"], "values": {}, **correction}
    with pytest.raises(TaskDataError, match=message):
        corrected_example(shown("slow wifi"), task, **whole)


def test_a_single_label_task_takes_exactly_one(task: TaskData) -> None:
    single = replace(task, kind="single_label")
    with pytest.raises(TaskDataError, match="2 labels are chosen"):
        corrected_example(
            shown("x wifi"), single, text="x wifi", attributes=["wifi", "parking"], values={}
        )


def test_a_correction_of_a_task_that_tags_gets_its_tags_anew() -> None:
    task = load_task(run_config(Path("unused"), predict="slots").task, seed=13)
    slot = task.tags[0]
    example = corrected_example(
        shown("x"), task, text="the key of Ann Lee", attributes=["wifi"], values={slot: ["Ann Lee"]}
    )
    assert example.target == f"the key of [{slot} Ann Lee ]"
    with pytest.raises(TaskDataError, match="as whole words"):
        corrected_example(
            shown("x"), task, text="the keys", attributes=["wifi"], values={slot: ["key"]}
        )


def test_a_parse_keeps_its_labels_and_its_strings(task: TaskData) -> None:
    parse = replace(task, kind="parse")
    candidate = replace(
        shown("remind me to eat", wifi=("eat",)), target="[parking remind me to [wifi eat ] ]"
    )
    whole = {"attributes": ["wifi", "parking"], "values": {"wifi": ["eat"]}}
    example = corrected_example(candidate, parse, text="please remind me to eat", **whole)
    assert example.target == "[parking please remind me to [wifi eat ] ]"
    with pytest.raises(TaskDataError, match="text alone"):
        corrected_example(candidate, parse, text="eat", attributes=["wifi"], values={})


def test_an_empty_candidate_cannot_be_accepted_and_is_not_stored(
    tmp_path: Path, desk_of: OpenDesk
) -> None:
    config = run_config(tmp_path / "run")
    unit = Unit(0, 0, "msp", "s", Constraint(("wifi",), {}, "front_desk"), (), 1, 1)
    made = Candidate(0, "", "wifi", True, None, 0.1, 0.1, 0.1, 1, -1.0)
    rows = table_bytes([unit_row(unit, [made])], CANDIDATES_SCHEMA)
    open_run_store(config).write_once(layout.candidates_key(0, 0), rows)
    finish(config)
    desk = desk_of(tmp_path / "run")
    session = desk.start()["session"]
    with pytest.raises(UserError, match="is empty"):
        desk.decide(session, 0, candidate_id=0, verdict="accepted")
    assert desk.summary()["num_decisions"] == 0


def test_a_run_whose_gold_came_from_another_shows_its_seed_examples(
    reviewed: Path, tmp_path: Path, desk_of: OpenDesk
) -> None:
    desk = desk_of(reviewed)
    session = desk.start()["session"]
    for number, candidate in enumerate(handed(desk, session, 5)):
        desk.decide(session, number, candidate_id=candidate, verdict="accepted")
    make_run(run_config(tmp_path / "next", reviewed=[str(reviewed)]))
    assert sum(uid.startswith("reviewed:") for uid in open_finished(str(tmp_path / "next")).seeds)
