"""A run that goes on from another one: what it has of it, and when it may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from msp.config import RunConfig
from msp.denoise.rules import lexical_reasons, normalise
from msp.errors import ConfigError
from msp.lineage import (
    ancestors,
    inherit_learned,
    kept_before,
    parent_record,
    still_wanted,
    with_kept_before,
)
from msp.records import Constraint, Example, Unit
from msp.storage import layout
from msp.storage.manifest import build_manifest, read_manifest
from msp.storage.run_record import open_run
from msp.storage.store import open_run_store
from msp.tasks import load_task


def config(output: Path, parent: Path | None = None, **sections: Any) -> RunConfig:
    tree = {
        "output_uri": str(output),
        "parent": parent and str(parent),
        "task": {"name": "jsonl", "path": "sample:front_desk", "max_seed_examples": 20},
        **sections,
    }
    return RunConfig.model_validate(tree)


def made_run(run: RunConfig, *, identity: dict[str, str] | None = None) -> None:
    """Make an empty finished run."""
    store = open_run_store(run)
    marks = identity or {}
    open_run(store, config=run.model_dump(mode="json"), fingerprint=marks, versions={})
    build_manifest(store, [], fingerprint=marks, parent=parent_record(run))


def test_a_line_of_runs_is_told_by_its_manifests(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    made_run(config(first))
    made_run(config(second, first))
    last = config(third, second)
    assert [store.uri for store in ancestors(last)] == [str(first), str(second)]
    manifest = read_manifest(open_run_store(config(second)))
    assert manifest.parent is not None and manifest.parent["output_uri"] == str(first)
    assert parent_record(config(first)) is None


def test_a_parent_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished data set is there"):
        ancestors(config(tmp_path / "b", tmp_path / "a"))


def test_a_run_is_not_its_own_parent(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this run's own output_uri"):
        config(tmp_path / "a", tmp_path / "a")


def test_prompts_come_from_the_parent_unless_they_were_learned_otherwise(tmp_path: Path) -> None:
    first, second = config(tmp_path / "a"), config(tmp_path / "b", tmp_path / "a")
    made_run(first, identity={"prompts.mixture": "1", "student.kind": "1"})
    store, parent = open_run_store(second), open_run_store(first)
    parent.write(layout.PROMPTS_TENSORS, b"tensors")
    parent.write(layout.PROMPTS_JSON, b"{}")
    with pytest.raises(ConfigError, match=r"learned with other settings \(prompts.mixture\)"):
        inherit_learned(second, store, {"prompts.mixture": "2", "student.kind": "2"})
    inherit_learned(second, store, {"prompts.mixture": "1", "student.kind": "2"})
    assert store.read(layout.PROMPTS_TENSORS) == b"tensors"
    assert store.exists(layout.PROMPTS_JSON) and not store.exists(layout.FIT_JSON)


def test_a_run_without_a_parent_has_nothing_before_it(tmp_path: Path) -> None:
    alone = config(tmp_path / "a")
    task = load_task(alone.task, seed=alone.seed)
    assert with_kept_before(alone, task) is task and list(kept_before(alone, task)) == []


def test_what_was_kept_before_is_dropped_however_it_is_written() -> None:
    unit = Unit(0, 0, "msp", "s", Constraint(("wifi",), {}, "x"), (), 2, 0)
    reasons = lexical_reasons(
        unit,
        ["Is there WiFi?", "is there a spa"],
        seed_texts=(),
        require_values=False,
        kept_before={normalise("is there wifi")},
    )
    assert reasons == ["kept_before", None]


def test_the_texts_that_were_kept_travel_with_the_task(tmp_path: Path) -> None:
    alone = config(tmp_path / "a")
    task = load_task(alone.task, seed=alone.seed)
    assert replace(task, kept_before=("x",)).content_hash == task.content_hash


def test_what_people_rejected_or_made_a_seed_example_of_is_not_learned_from(
    tmp_path: Path,
) -> None:
    alone = config(tmp_path / "a")
    task = replace(load_task(alone.task, seed=alone.seed), rejected=("No good!",))
    texts = ["no good", task.seeds[0].text.upper(), "still good"]
    examples = [Example(f"synthetic-{n}", text) for n, text in enumerate(texts)]
    assert [example.text for example in still_wanted(examples, task)] == ["still good"]
