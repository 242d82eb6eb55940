"""Draws follow from examples and seed alone, and rare attributes come off well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.records import Example
from msp.tasks.sampling import draw_few, hold_out, names_of, text_key

label_sets = st.lists(st.sets(st.sampled_from("abcdefg"), max_size=3), min_size=1, max_size=40)


def made(labels: list[set[str]]) -> list[Example]:
    return [Example(f"u{i}", f"text {i}", tuple(sorted(s))) for i, s in enumerate(labels)]


def counted(examples: tuple[Example, ...] | list[Example]) -> Counter[str]:
    return Counter(name for example in examples for name in names_of(example))


@given(label_sets, st.integers(1, 45), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_few_shot_draw_is_exact_and_blind_to_order(labels, num, seed, random) -> None:
    examples = made(labels)
    mixed = random.sample(examples, len(examples))
    drawn = draw_few(examples, num, seed=seed)
    assert len(drawn) == min(num, len(examples))
    assert {e.uid for e in draw_few(mixed, num, seed=seed)} == {e.uid for e in drawn}
    assert [e.uid for e in drawn] == [e.uid for e in examples if e in drawn]


@given(label_sets, st.integers(0, 9))
def test_a_few_shot_draw_covers_all_where_there_is_room_for_one_each(labels, seed) -> None:
    examples = made(labels)
    drawn = draw_few(examples, len(counted(examples)), seed=seed)
    assert set(counted(drawn)) == set(counted(examples))


def test_a_few_shot_draw_is_even_where_it_can_be() -> None:
    examples = made([{"a"}] * 90 + [{"b"}] * 20 + [{"c"}] * 4)
    assert counted(draw_few(examples, 24, seed=1)) == {"a": 10, "b": 10, "c": 4}


@given(label_sets, st.floats(0, 1), st.integers(0, 9), st.randoms(use_true_random=False))
def test_holding_out_loses_nothing_and_is_blind_to_order(labels, fraction, seed, random) -> None:
    examples = made(labels)
    mixed = random.sample(examples, len(examples))
    kept, held = hold_out(examples, fraction, seed=seed, purpose="dev")
    assert sorted(e.uid for e in (*kept, *held)) == sorted(e.uid for e in examples)
    again = hold_out(mixed, fraction, seed=seed, purpose="dev")[1]
    assert {e.uid for e in again} == {e.uid for e in held}
    assert kept and len(held) <= max(1, round(fraction * len(examples)))
    if len(held) > 1:
        assert set(counted(kept)) == set(counted(examples))


def test_each_attribute_gives_its_share_to_what_is_held_out() -> None:
    examples = made([{"a", "b"}] * 50 + [{"a"}] * 100 + [{"c"}] * 20 + [{"d"}] * 5 + [{"e"}])
    _, held = hold_out(examples, 0.2, seed=3, purpose="dev")
    assert len(held) == 35
    share = counted(held)
    assert share["a"] in (30, 31) and share["b"] == pytest.approx(10, abs=1)
    assert (share["c"], share["d"], share["e"]) == (4, 1, 0)


def test_something_is_held_out_even_where_every_attribute_is_alone() -> None:
    kept, held = hold_out(made([{"a"}, {"b"}, {"c"}]), 0.2, seed=0, purpose="dev")
    assert (len(kept), len(held)) == (2, 1)
    assert hold_out(made([{"a"}]), 0.5, seed=0, purpose="dev")[1] == ()
    assert hold_out((), 0.5, seed=0, purpose="dev") == ((), ())


def test_examples_with_one_text_stay_together() -> None:
    twins = [Example(f"u{i}", f"Text {i // 2}{'!' * (i % 2)}", ("a",)) for i in range(40)]
    kept, held = hold_out(twins, 0.25, seed=5, purpose="dev")
    assert len(held) == 10
    assert not {text_key(e.text) for e in kept} & {text_key(e.text) for e in held}


def test_other_seeds_and_purposes_draw_other_examples() -> None:
    examples = made([{"a"}] * 60)
    drawn = {
        tuple(e.uid for e in hold_out(examples, 0.2, seed=seed, purpose=purpose)[1])
        for seed in (1, 2)
        for purpose in ("dev", "test")
    }
    assert len(drawn) == 4


def test_few_shot_draws_of_other_seeds_differ_where_some_examples_carry_more() -> None:
    examples = made([{"a", "b", "c"}] * 20 + [{"a", "b"}] * 60 + [{"a"}] * 60 + [{"c"}] * 60)
    first, second = ({e.uid for e in draw_few(examples, 20, seed=seed)} for seed in (1, 2))
    assert len(first & second) < 15


def test_case_punctuation_apostrophes_and_space_make_no_other_text() -> None:
    assert text_key("Don\u2019t  ask, OK?") == text_key("dont ask ok") == text_key("DON'T ask - ok")
    assert text_key("?") != text_key("!")
    assert text_key("room 12") != text_key("room 21")


PROGRAM = """
from msp.config import TaskConfig
from msp.tasks import load_task
for few in (None, 40):
    config = TaskConfig(name="jsonl", path="sample:front_desk", max_seed_examples=few)
    task = load_task(config, seed=5)
    print(task.content_hash, [e.uid for e in (*task.seeds, *task.dev)])
"""


def test_a_task_is_the_same_in_every_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert len(outputs) == 1 and "examples.jsonl:" in outputs.pop()
