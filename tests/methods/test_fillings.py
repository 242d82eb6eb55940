"""Units that repeat a seed example ask for other strings under the same labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import RunConfig
from msp.methods import make_plan
from msp.methods.fillings import Fillings
from msp.prompts.text import constraint_of
from msp.records import Attribute, Example
from msp.tasks.base import Kind, TaskData
from msp.tasks.brackets import Node, labels_in, read_brackets, words_in
from msp.tasks.ontology import Ontology

PARSES = [
    "[IN:CALL call [SL:WHOM Ann ] at [SL:AT noon ] ]",
    "[IN:CALL phone [SL:WHOM my mum ] [SL:AT [IN:DAY on [SL:NAME Sunday ] ] ] ]",
    "[IN:STOP stop [SL:WHOM Bob ] ]",
]
ENTITIES = ["[city Rome ] and [city Oslo ]", "[person Ann ] in [city Bonn ]", "nothing"]


def make_task(targets: list[str], kind: Kind) -> TaskData:
    names = sorted({label for target in targets for label in labels_in(read_brackets(target))})
    ontology = Ontology(tuple(Attribute(name, name) for name in names))
    examples = []
    for i, target in enumerate(targets):
        forest = read_brackets(target)
        (inner,) = (
            [forest[0].children] if isinstance(forest[0], Node) and kind == "parse" else [forest]
        )
        values: dict[str, tuple[str, ...]] = {}
        for part in inner:
            if isinstance(part, Node):
                text = " ".join(words_in(part.children))
                values[part.label] = (*values.get(part.label, ()), text)
        labels = ontology.order(labels_in(forest))
        text = " ".join(words_in(forest))
        examples.append(Example(f"e{i}", text, labels, values, "d", target))
    return TaskData(
        ontology,
        "d",
        tuple(examples),
        (),
        tuple(examples),
        "",
        kind=kind,
        tags=tuple(names) if kind == "tagging" else (),
    )


TASKS = {"parse": make_task(PARSES, "parse"), "tagging": make_task(ENTITIES, "tagging")}


def config(**generate: object) -> RunConfig:
    task = {"name": "jsonl", "path": "none"}
    return RunConfig.model_validate({"output_uri": "x", "task": task, "generate": generate})


@given(st.integers(0, 2**32 - 1), st.sampled_from(["parse", "tagging"]))
def test_a_swapped_constraint_has_the_same_labels_and_strings_of_the_seed_examples(
    seed: int, kind: str
) -> None:
    task = TASKS[kind]
    known = {text for e in task.seeds for texts in e.values.values() for text in texts}
    for example in task.seeds:
        found = Fillings(task).swapped(example, np.random.default_rng(seed))
        if found is None:
            assert not example.values
            continue
        assert found.attributes == example.attributes
        assert sorted(labels_in(read_brackets(found.target or ""))) == sorted(
            labels_in(read_brackets(example.target or ""))
        )
        assert {text for texts in found.values.values() for text in texts} <= known


def test_the_first_unit_of_a_seed_example_asks_for_its_own_strings_and_later_ones_for_others() -> (
    None
):
    task = TASKS["tagging"]
    plan = make_plan(config(units_per_seed_example=40, novel_units_per_seed_example=0), task)
    units = [plan.unit(i) for i in range(plan.num_units)]
    first = {u.seed_uid: u.constraint.values for u in reversed(units)}
    assert first == {e.uid: e.values for e in task.seeds if e.attributes}
    assert len({str(u.constraint.values) for u in units if u.seed_uid == "e1"}) > 2


def test_new_combinations_of_entities_bring_a_string_for_each_and_parses_have_none() -> None:
    task = TASKS["tagging"]
    only_city = dataclasses.replace(task.seeds[1], uid="p", attributes=("person",))
    pair = Fillings(task).drawn(
        ("city", "person"), (task.seeds[0], only_city), np.random.default_rng(1)
    )
    assert pair["person"] == ("Ann",) and pair["city"][0] in ("Rome", "Oslo", "Bonn")
    plan = make_plan(config(novel_units_per_seed_example=8), TASKS["parse"])
    assert plan.num_units == len(PARSES)


def test_a_seed_example_without_a_string_to_ask_for_has_no_unit() -> None:
    plan = make_plan(config(novel_units_per_seed_example=0), TASKS["tagging"])
    assert {plan.unit(i).seed_uid for i in range(plan.num_units)} == {"e0", "e1"}


@pytest.mark.parametrize("kind", TASKS)
def test_a_method_that_makes_texts_over_asks_for_no_other_strings(kind: str) -> None:
    seeds = {example.uid: constraint_of(example) for example in TASKS[kind].seeds}
    plan = make_plan(config(method="eda", units_per_seed_example=40), TASKS[kind])
    units = [plan.unit(i) for i in range(plan.num_units)]
    assert all(unit.constraint == seeds[unit.seed_uid] for unit in units)
