"""PromptMix's plan: groups, partners and shares are drawn, and follow from seed and number."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import PromptMixConfig, RunConfig
from msp.errors import ConfigError, ConstraintError
from msp.methods import make_plan
from msp.methods.promptmix import Groups, draw_alpha
from msp.records import Unit
from msp.tasks import load_task

VARIANTS = ("one_class", "described", "no_mixing", "mixing", "zero_shot_mixing")


def config(path: Path, *, predict: str = "label", **generate: object) -> RunConfig:
    task = {"name": "jsonl", "path": str(path), "predict": predict}
    generate = {"method": "promptmix", "num_candidates_per_unit": 5, **generate}
    return RunConfig.model_validate({"output_uri": "x", "task": task, "generate": generate})


def units(config: RunConfig) -> list[Unit]:
    plan = make_plan(config, load_task(config.task, seed=config.seed))
    return [plan.unit(i) for i in range(plan.num_units)]


def mixed(path: Path, **promptmix: object) -> list[Unit]:
    return units(config(path, promptmix=promptmix))


@given(st.integers(2, 30), st.integers(2, 6), st.integers(0, 10**6))
def test_a_partition_puts_every_class_into_one_whole_group(
    number: int, size: int, partition: int
) -> None:
    names = [f"c{i}" for i in range(number)]
    groups = Groups(names, size, seed=13)
    for name in names:
        group = groups.of(name, partition)
        assert name in group and len(set(group)) == len(group) == min(size, number)
    whole = {g for n in names if len(g := groups.of(n, partition)) and n == g[0]}
    assert whole and groups.of(names[0], partition) == Groups(names, size, seed=13).of(
        names[0], partition
    )


def test_groups_differ_between_partitions_and_seeds() -> None:
    names = [f"c{i}" for i in range(12)]
    drawn = {Groups(names, 4, seed).of("c0", n) for seed in (1, 2) for n in range(20)}
    assert len({frozenset(group) for group in drawn}) > 25


def test_alpha_is_half_and_half_a_beta_of_five_and_two_in_steps_of_a_twentieth() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw_alpha(PromptMixConfig(), rng) for _ in range(20_000)])
    assert drawn.min() >= 0.5 and drawn.max() <= 1.0
    assert np.allclose(drawn * 20, np.round(drawn * 20))
    assert abs(drawn.mean() - (0.5 + 0.5 * 5 / 7)) < 0.005
    assert abs(drawn.std() - 0.5 * np.sqrt(10 / (49 * 8))) < 0.005


def test_alphas_that_are_given_are_drawn_alike() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(draw_alpha(PromptMixConfig(alphas=[0.6, 0.9]), rng) for _ in range(2_000))
    assert set(drawn) == {0.6, 0.9} and abs(drawn[0.6] - 1_000) < 150


def test_every_class_gets_its_texts_and_partners_from_its_group(plants_path: Path) -> None:
    found = mixed(plants_path, texts_per_class=100)
    assert Counter(u.constraint.attributes for u in found) == dict.fromkeys(
        [(name,) for name in ("apple", "rose", "oak", "moss", "reed", "fern")], 20
    )
    partners = Counter()
    for unit in found:
        assert unit.mix is not None and len(unit.mix.group) == 4
        assert unit.mix.group[-1] == unit.constraint.attributes[0]
        assert unit.mix.group[-2] == unit.mix.attribute != unit.mix.group[-1]
        partners[unit.constraint.attributes[0], unit.mix.attribute] += 1
    assert len(partners) == 6 * 5


def test_the_first_turn_asks_for_each_class_of_the_same_groups(plants_path: Path) -> None:
    turn = mixed(plants_path, classes_per_group=3)[:6]
    groups = Counter(frozenset(unit.mix.group) for unit in turn if unit.mix)
    assert sorted(groups.values()) == [3, 3]


def test_two_seed_examples_a_class_are_shown_the_units_own_last(plants_path: Path) -> None:
    for unit in mixed(plants_path):
        shown = [example.attributes[0] for example in unit.exemplars]
        assert unit.mix and shown == [name for name in unit.mix.group for _ in range(2)]
        assert unit.exemplars[-1].uid == unit.seed_uid
        assert len({example.uid for example in unit.exemplars}) == 8


@pytest.mark.parametrize(
    ("variant", "num_classes", "has_partner", "num_exemplars"),
    [
        ("one_class", 1, False, 2),
        ("described", 1, False, 2),
        ("no_mixing", 4, False, 8),
        ("mixing", 4, True, 8),
        ("zero_shot_mixing", 4, True, 0),
    ],
)
def test_each_rung_of_the_ladder_shows_what_it_says(
    plants_path: Path, variant: str, num_classes: int, has_partner: bool, num_exemplars: int
) -> None:
    for unit in mixed(plants_path, variant=variant):
        assert unit.mix and len(unit.mix.group) == num_classes
        assert (unit.mix.attribute is not None) == has_partner
        assert has_partner or unit.mix.alpha == 1
        assert len(unit.exemplars) == num_exemplars


def test_exactly_n_draws_partner_and_share_for_each_unit(plants_path: Path) -> None:
    found = units(config(plants_path, num_synthetic=120, balance="uniform"))
    assert Counter(u.constraint.attributes for u in found) == dict.fromkeys(
        {u.constraint.attributes for u in found}, 5
    )
    assert len({(u.mix.attribute, u.mix.alpha) for u in found if u.mix}) > 10


def test_a_unit_follows_from_config_and_number_alone(plants_path: Path) -> None:
    one, other = (make_plan(c := config(plants_path), load_task(c.task, seed=13)) for _ in "ab")
    backwards = [other.unit(i) for i in reversed(range(other.num_units))]
    assert [one.unit(i) for i in range(one.num_units)] == backwards[::-1]


def test_only_asked_classes_are_made_but_any_may_be_the_partner(plants_path: Path) -> None:
    found = units(config(plants_path, attributes=["oak"]))
    assert {u.constraint.attributes for u in found} == {("oak",)}
    assert {u.mix.attribute for u in found if u.mix} == {"apple", "rose", "moss", "reed", "fern"}


def test_a_class_without_description_is_refused_where_the_variant_needs_one(
    plants_path: Path, tmp_path: Path
) -> None:
    ontology = tmp_path / "ontology.json"
    described = {name: {"description": f"is a {name}"} for name in ("apple", "rose", "oak", "moss")}
    ontology.write_text(json.dumps({"attributes": {**described, "reed": {}, "fern": {}}}))
    for variant in VARIANTS:
        asked = config(plants_path, promptmix={"variant": variant})
        task = asked.task.model_copy(update={"ontology": str(ontology)})
        data = load_task(task, seed=13)
        if variant not in ("described", "zero_shot_mixing"):
            assert make_plan(asked, data).num_units
            continue
        with pytest.raises(ConstraintError, match=rf"variant is {variant}.*'reed' has none"):
            make_plan(asked, data)


def test_fewer_than_two_classes_are_refused(plants_path: Path) -> None:
    import dataclasses

    asked = config(plants_path)
    task = load_task(asked.task, seed=13)
    one = tuple(example for example in task.seeds if example.attributes == ("oak",))
    with pytest.raises(ConstraintError, match=r"two classes or more.* has 1 \(oak\)"):
        make_plan(asked, dataclasses.replace(task, seeds=one))


def test_a_task_with_several_labels_a_text_is_refused(plants_path: Path) -> None:
    asked = config(plants_path, predict="labels")
    with pytest.raises(ConfigError, match=r"no task with one class a text.*predict to label"):
        make_plan(asked, load_task(asked.task, seed=13))
