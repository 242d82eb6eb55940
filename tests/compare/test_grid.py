"""The grid is whole and checked before any work, and says where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up import BASE, config_of
from pydantic import ValidationError

from msp.compare.ablations import ABLATIONS, SENTENCES
from msp.compare.config import CompareConfig, load_compare_config
from msp.compare.grid import make_grid, merged
from msp.errors import ConfigError

TEXT = """
output_uri: runs/compare
seeds: [13]
base: run.yaml
tasks: {one: {}}
arms: {msp: {}}
"""


def test_every_task_arm_and_seed_is_a_run_of_its_own() -> None:
    grid = make_grid(config_of())
    assert [cell.name for cell in grid.cells] == [
        f"{task} / {arm} / {seed}"
        for task in ("one", "two")
        for arm in ("msp", "hot")
        for seed in (13, 16)
    ]
    cell = grid.cells[-1]
    assert cell.config.output_uri == "runs/compare/cells/two/hot/16"
    assert (cell.config.seed, cell.config.generate.temperature) == (16, 0.9)
    assert cell.config.task.max_seed_examples == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"a": {"generate.method": "mps"}}}, r"one / a / 13.*generate\.method is 'mps'.*"),
        (
            {"arms": {"a": {"prompts.mixture": "poling"}}},
            r"one / a / 13; .*prompts\.mixture is 'poling'.*did you mean 'pooling'",
        ),
        (
            {"tasks": {"one": {}, "t": {"task.name": "crosner"}}},
            r"cells t / msp / 13; .*task\.name is 'crosner'.*did you mean 'crossner'",
        ),
        ({"arms": {"a": {"promts.mixture": "concat"}}}, "did you mean 'prompts'"),
        ({"arms": {"a": {"seed.x": 1}}}, "seed is a value, not a section"),
        ({"arms": {"a": {"generate.num_candidates_per_unit": 1}}}, "over-generate at least"),
        ({"seeds": [13, 14]}, r"seeds 13 and 14 are 1 apart.*3 seeds.*such as \[13, 16\]"),
    ],
)
def test_a_cell_that_cannot_work_is_named_with_its_key(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_grid(config_of(**changes))


def test_one_fault_of_many_cells_is_told_once_and_all_faults_are_told() -> None:
    arms = {"a": {"prompts.mixture": "sum"}, "b": {"generate.top_p": 0}}
    with pytest.raises(ConfigError) as error:
        make_grid(config_of(arms=arms))
    assert str(error.value).count("prompts.mixture") == 1
    assert "generate.top_p" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": {"g": ["oen"]}}, "groups.g names 'oen', which is not there; did you mean"),
        ({"groups": {"g": ["one"], "h": ["one"]}}, "in two groups, g and h"),
        ({"groups": {"one": ["one"]}}, "has the name of a task"),
        ({"baseline": "mps"}, "did you mean 'msp'"),
        ({"ablate": "hod"}, "did you mean 'hot'"),
        ({"ablations": ["no_filters"]}, "no_filter"),
        ({"arms": {"../out": {}}}, "is no name"),
        ({"seeds": [13, 13]}, "name each once"),
        ({"ablations": ["no_filter"], "arms": {"no-filter": {}}}, "the name of an ablation"),
    ],
)
def test_a_name_that_is_not_there_or_cannot_be_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        config_of(**changes)


def test_a_base_file_gives_its_sections_and_overrides_go_into_it(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("output_uri: x\ntask: {name: jsonl, path: rows.jsonl}\n")
    (tmp_path / "compare.yaml").write_text(TEXT)
    overrides = ["base.task.path=other.jsonl", "arms.msp.generate.temperature=0.7", "seeds=[5]"]
    config = load_compare_config(tmp_path / "compare.yaml", overrides)
    (cell,) = make_grid(config).cells
    assert (cell.config.task.path, cell.config.seed) == ("other.jsonl", 5)
    assert cell.config.generate.temperature == 0.7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("taks={}", "taks is not a known key; did you mean 'tasks'"),
        ("ablations=[mixture]", "did you mean 'mixtures'"),
        ("base.seed=3", r"base\.seed is set, but each run.*seeds is at the top"),
        ("arms.msp.output_uri=x", r"arms\.msp\.output_uri is set"),
        ("base.task.path=http://me:pw@host/x", "carries a user or a password"),
    ],
)
def test_a_wrong_key_of_a_comparison_is_named(tmp_path: Path, override: str, message: str) -> None:
    (tmp_path / "run.yaml").write_text("task: {name: jsonl, path: rows.jsonl}\n")
    (tmp_path / "compare.yaml").write_text(TEXT)
    with pytest.raises(ConfigError, match=message):
        load_compare_config(tmp_path / "compare.yaml", [override])


def test_overrides_are_dotted_or_nested_and_leave_the_base_alone() -> None:
    base = {"task": {"name": "jsonl"}, "generate": {"balance": {"a": 1.0}}}
    found = merged(base, {"task.fold": 2, "generate": {"balance": {"b": 1.0}}})
    assert found == {
        "task": {"name": "jsonl", "fold": 2},
        "generate": {"balance": {"b": 1.0}},
    }
    assert base["task"] == {"name": "jsonl"}


def test_every_ablation_changes_the_ablated_arm_in_its_own_keys_alone() -> None:
    config = config_of(seeds=[13], tasks={"one": {}}, ablations=list(ABLATIONS), ablate="hot")
    grid = make_grid(config)
    plain = next(cell for cell in grid.cells if cell.arm == "hot").config.model_dump()
    assert SENTENCES.keys() == ABLATIONS.keys()
    ablations = [arm for arm in grid.arms if arm.ablation]
    # concat is what the arm has, and so is its temperature.
    assert {a.name for a in ablations} == {name for arms in ABLATIONS.values() for name in arms} - {
        "mixture-concat",
        "temperature-0.9",
    }
    for arm in ablations:
        run = next(cell for cell in grid.cells if cell.arm == arm.name).config.model_dump()
        differing = {
            f"{section}.{key}"
            for section, found in run.items()
            if isinstance(found, dict)
            for key, value in found.items()
            if value != plain[section][key]
        }
        assert differing and differing <= arm.overrides.keys()


def test_without_a_filter_all_that_is_made_may_be_kept() -> None:
    arms = {"msp": {"generate.num_candidates_per_unit": 16}}
    grid = make_grid(config_of(arms=arms, ablations=["no_filter", "no_over_generation"]))
    runs = {cell.arm: cell.config for cell in grid.cells}
    assert runs["no-filter"].denoise.num_kept_per_unit == 16
    assert runs["no-over-generation"].generate.num_candidates_per_unit == 4


def test_hard_prompt_is_the_baseline_where_it_is_an_arm() -> None:
    assert config_of().reference is None
    assert config_of(arms={"msp": {}, "hard_prompt": {}}).reference == "hard_prompt"
    assert config_of(baseline="hot").reference == "hot"


def test_tasks_outside_every_group_are_columns_of_their_own() -> None:
    config = config_of(tasks={"a": {}, "b": {}, "c": {}}, groups={"g": ["c", "a"]})
    assert config.columns == {"g": ["a", "c"], "b": ["b"]}
    assert isinstance(CompareConfig.model_validate({**config.model_dump(), "base": BASE}), object)
