"""From decisions to gold, and from gold to the next run's plan and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from review_runs import SETTINGS, candidate_rows, make_run, run_config

from msp.config import RunConfig
from msp.errors import ConfigError
from msp.methods import make_plan
from msp.records import Attribute, Example
from msp.review.decisions import Decision, DecisionLog, Verdict, text_sha256
from msp.review.desk import Desk
from msp.review.gold import gold_examples, load_reviewed_task, skipped_notes
from msp.storage import layout
from msp.storage.store import open_store
from msp.tasks.base import TaskData, content_hash
from msp.tasks.ontology import Ontology
from msp.tasks.reviewed import with_reviewed
from msp.tasks.sampling import text_key

OpenDesk = Callable[[Path], Desk]


def decide(desk: Desk, verdicts: str) -> list[dict]:
    """Make one decision a letter (a, r, or e for an edit of the text); return the candidates."""
    session = desk.start()["session"]
    shown = desk.hand_out(session, len(verdicts))["candidates"]
    for number, (verdict, one) in enumerate(zip(verdicts, shown, strict=True)):
        correction = {
            "text": f"{one['text']} indeed",
            "attributes": one["attributes"],
            "values": dict(one["values"]),
        }
        desk.decide(
            session,
            number,
            candidate_id=int(one["id"]),
            verdict={"a": "accepted", "r": "rejected", "e": "corrected"}[verdict],
            correction=correction if verdict == "e" else None,
        )
    return shown


def test_accepted_and_corrected_are_examples_and_the_others_are_known_bad(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    shown = decide(desk_of(reviewed), "aarre")
    gold = gold_examples(open_store(str(reviewed)))
    texts = {text_key(example.text) for example in gold.examples}
    assert texts == {text_key(one["text"]) for one in shown[:2]} | {
        text_key(f"{shown[4]['text']} indeed")
    }
    assert {text_key(text) for text in gold.rejected} == {text_key(o["text"]) for o in shown[2:]}
    assert all(e.uid.startswith("reviewed:") and e.attributes for e in gold.examples)
    assert (gold.num_vanished, gold.damaged) == (0, ())


def test_decisions_on_a_candidate_that_is_gone_or_says_something_else_are_counted_and_skipped(
    reviewed: Path, desk_of: OpenDesk
) -> None:
    decide(desk_of(reviewed), "a" * 30)
    store = open_store(str(reviewed))
    shards = sorted({(d.round, d.shard) for d in desk_of(reviewed)._log.words().values()})
    gone, other = layout.candidates_key(*shards[0]), layout.candidates_key(*shards[1])
    before = gold_examples(store)
    lost = [w for w in desk_of(reviewed)._log.words().values() if (w.round, w.shard) in shards[:2]]
    store.delete(gone)
    rewrite(store, other)
    gold = gold_examples(store)
    assert gold.num_vanished == len(lost) > 0
    assert len(gold.examples) + len(lost) >= len(before.examples) > len(gold.examples)
    assert not {w.candidate_id for w in lost} & {int(e.uid.split(":")[2]) for e in gold.examples}
    assert f"skipped {len(lost)} decisions" in next(skipped_notes(store.uri, gold))


def rewrite(store, key: str) -> None:
    """Make every candidate of a shard say something else."""
    from msp.records import CANDIDATES_SCHEMA
    from msp.storage.parquet import read_table, table_bytes

    rows = read_table(store, key).to_pylist()
    for row in rows:
        for candidate in row["candidates"]:
            candidate["text"] += " changed"
    store.write(key, table_bytes(rows, CANDIDATES_SCHEMA))


def test_the_next_run_plans_from_gold_and_does_not_keep_what_was_rejected(
    reviewed: Path, desk_of: OpenDesk, tmp_path: Path
) -> None:
    decide(desk_of(reviewed), "aaaaarrrrr")
    config = run_config(tmp_path / "next", reviewed=[str(reviewed)])
    task = load_reviewed_task(config)
    gold = gold_examples(open_store(str(reviewed)))
    assert task.seeds[-len(gold.examples) :] == gold.examples
    plan = make_plan(config, task)
    units = [plan.unit(i) for i in range(plan.num_units)]
    assert {e.uid for e in gold.examples} <= {unit.seed_uid for unit in units}
    assert {e.uid for e in gold.examples} & {
        e.uid for unit in units for e in unit.exemplars if e.uid != unit.seed_uid
    }
    # The same seed examples give the same texts again: those that were rejected come again.
    rows = candidate_rows(make_run(config))
    bad = {text_key(text) for text in gold.rejected}
    came = [row for row in rows if text_key(row["text"]) in bad]
    assert came and {row["reason"] for row in came} <= {"rejected_by_reviewer", "copy_of_exemplar"}
    assert not [row for row in rows if row["kept"] and text_key(row["text"]) in bad]


def test_what_people_decided_is_part_of_what_the_task_is(
    reviewed: Path, desk_of: OpenDesk, tmp_path: Path
) -> None:
    config = run_config(tmp_path / "next", reviewed=[str(reviewed)])
    hashes = [load_reviewed_task(config).reviewed_hash]
    for verdicts in ("a", "r"):
        decide(desk_of(reviewed), verdicts)
        hashes.append(load_reviewed_task(config).reviewed_hash)
    assert len(set(hashes)) == 3
    assert load_reviewed_task(config).reviewed_hash == hashes[-1]
    plain = load_reviewed_task(run_config(tmp_path / "plain"))
    assert plain.reviewed_hash == "" and plain.rejected == ()


@pytest.mark.parametrize("order", ["ar", "ra"])
def test_of_two_decisions_on_one_text_with_the_same_labels_the_later_holds(
    reviewed: Path, order: str
) -> None:
    store = open_store(str(reviewed))
    rows = candidate_rows(store)
    copy = next(row for row in rows if row["reason"] == "duplicate_in_unit")
    twin = next(r for r in rows if r["id"] == copy["id"] and r["text"] == copy["text"])
    assert twin["candidate_id"] != copy["candidate_id"]
    log = DecisionLog(store)
    for number, (row, verdict) in enumerate(zip((twin, copy), order, strict=True)):
        log.add(decision_on(row, "accepted" if verdict == "a" else "rejected", number))
    gold = gold_examples(store)
    accepted = order == "ra"
    assert [e.text for e in gold.examples] == [copy["text"]] * accepted
    assert list(gold.rejected) == [copy["text"]] * (not accepted)


def decision_on(row: dict[str, Any], verdict: Verdict, number: int) -> Decision:
    example = Example("", row["text"], tuple(row["attributes"]), {}, row["domain"])
    units_per_shard = SETTINGS["generate"]["units_per_shard"]
    return Decision(
        candidate_id=row["candidate_id"],
        verdict=verdict,
        session="a" * 16,
        number=number,
        time="",
        round=0,
        shard=row["id"] // units_per_shard,
        text_sha256=text_sha256(row["text"]),
        example=example if verdict == "accepted" else None,
    )


def test_a_run_that_is_not_there_cannot_be_gold(tmp_path: Path) -> None:
    config = run_config(tmp_path / "next", reviewed=[str(tmp_path / "none")])
    with pytest.raises(ConfigError, match=r"none: no run is there"):
        load_reviewed_task(config)


def test_a_run_is_not_its_own_gold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own output_uri"):
        run_config(tmp_path / "run", reviewed=[f"{tmp_path}/x/../run/"])


def test_a_damaged_decision_is_named_in_the_notes(
    reviewed: Path, desk_of: OpenDesk, tmp_path: Path
) -> None:
    decide(desk_of(reviewed), "ar")
    (first, _) = sorted((reviewed / layout.REVIEW_PREFIX).iterdir())
    first.write_bytes(first.read_bytes()[:50])
    task = load_reviewed_task(run_config(tmp_path / "next", reviewed=[str(reviewed)]))
    assert any("skipped 1 decisions" in n and first.name in n for n in task.notes)


# ---- what joins a task

ONTOLOGY = Ontology((Attribute("a", ""), Attribute("b", ""), Attribute("rare", "")))


def small_task(**changes: object) -> TaskData:
    splits = tuple(
        (Example(f"{name}-1", f"the {name} text", ("a",), domain="x"),)
        for name in ("seed", "dev", "test")
    )
    task = TaskData(ONTOLOGY, "x", *splits, content_hash(ONTOLOGY, *splits))
    return replace(task, **changes)  # type: ignore[arg-type]


def gold(text: str, *labels: str, **more: object) -> Example:
    return Example(f"g-{text}", text, labels or ("a",), domain="x", **more)  # type: ignore[arg-type]


def test_gold_that_stands_in_dev_or_test_or_among_the_seeds_is_left_out_and_said() -> None:
    found = [gold("The DEV text!"), gold("the test text"), gold("the seed text"), gold("new")]
    task = with_reviewed(small_task(), found, ["bad"])
    assert [seed.text for seed in task.seeds] == ["the seed text", "new"]
    said = " ".join(task.notes)
    assert "left out 2 of 4 reviewed examples: their text is in dev or test" in said
    assert "left out 1 of 2 reviewed examples: their text is in seed" in said
    assert "1 reviewed examples are seed examples, too; 1 rejected texts" in said


def test_gold_of_other_labels_kinds_and_domains_is_left_out_and_said() -> None:
    unknown = with_reviewed(small_task(), [gold("x", "unheard")], ())
    tagging = with_reviewed(small_task(kind="tagging"), [gold("x")], ())
    single = with_reviewed(small_task(kind="single_label"), [gold("x", "a", "b")], ())
    elsewhere = with_reviewed(small_task(domain="y"), [gold("x")], (), domain="y")
    for task in (unknown, tagging, single, elsewhere):
        assert len(task.seeds) == 1
        assert "left out 1 reviewed examples that this task cannot learn from." in task.notes


def test_a_label_that_gold_brings_is_no_gap_any_more() -> None:
    task = small_task(notes=("no seed example carries 2 of 3 attributes (b, rare); only "
                             "their words tell of them.",))  # fmt: skip
    assert "1 of 3 attributes (b)" in " ".join(with_reviewed(task, [gold("x", "rare")], ()).notes)
    assert "2 of 3" not in " ".join(with_reviewed(task, [gold("x", "rare")], ()).notes)


@given(st.permutations(["one", "two", "ONE!", "three"]))
def test_one_text_joins_once(texts: list[str]) -> None:
    task = with_reviewed(small_task(), [gold(text) for text in texts], ())
    keys = [text_key(seed.text) for seed in task.seeds]
    assert len(keys) == len(set(keys)) == 4


def test_reviewed_places_are_made_absolute(tmp_path: Path, monkeypatch) -> None:
    from msp.config import with_absolute_paths

    monkeypatch.chdir(tmp_path)
    tree = {
        "output_uri": "b",
        "task": {"name": "jsonl", "path": "x", "reviewed": ["a", "s3://q/r/"]},
    }
    config = with_absolute_paths(RunConfig.model_validate(tree))
    assert config.task.reviewed == [str(tmp_path / "a"), "s3://q/r"]
