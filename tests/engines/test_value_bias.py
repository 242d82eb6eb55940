"""Asked values are written more often, whole, and by rows that lack them alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.config import GenerateConfig, ModelConfig
from msp.engines.hf import HFEngine
from msp.engines.sampling import choose_tokens
from msp.engines.value_bias import RowBias, ValueBias, value_tokens
from msp.models.frozen_lm import load_frozen_lm
from msp.models.lm_files import find_lm
from msp.records import Generated

VOCABULARY = 7
BONUS = 2.5
values_of_unit = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=4), max_size=3
)
SAMPLING = GenerateConfig(temperature=0.6, max_new_tokens=40, value_bonus=4.0)


def texts(generated: Sequence[Generated]) -> list[str]:
    return [text.text for text in generated]


def bias_of(values: list[list[list[int]]], units: list[int], ends: list[int]) -> ValueBias:
    return ValueBias(
        values, torch.tensor(units), ends=torch.tensor(ends, dtype=torch.int64), bonus=BONUS
    )


def test_a_value_is_raised_token_by_token_until_it_stands() -> None:
    bias = bias_of([[[3, 4, 5]]], [0], ends=[6])
    for token, raised in ((0, 3), (3, 3), (4, 4), (0, 5), (3, 3), (4, 4), (5, 5), (3, None)):
        scores = bias.raise_scores(torch.zeros(1, VOCABULARY))[0]
        expected = torch.zeros(VOCABULARY)
        if raised is not None:
            expected[raised], expected[6] = BONUS, -BONUS
        assert torch.equal(scores, expected), f"before {token}"
        bias.advance(torch.tensor([token]))


def test_two_values_that_go_on_alike_give_one_bonus() -> None:
    bias = bias_of([[[3, 4], [3, 5]]], [0], ends=[])
    assert bias.raise_scores(torch.zeros(1, VOCABULARY))[0, 3] == BONUS
    bias.advance(torch.tensor([3]))
    scores = bias.raise_scores(torch.zeros(1, VOCABULARY))[0]
    assert scores[4] == scores[5] == BONUS and scores[3] == 0.0


@given(
    values=st.lists(values_of_unit, min_size=1, max_size=3),
    tokens=st.lists(st.integers(0, VOCABULARY - 1), max_size=12),
    dropped=st.integers(0, 12),
)
def test_rows_together_get_what_each_gets_alone(
    values: list[list[list[int]]], tokens: list[int], dropped: int
) -> None:
    units = list(range(len(values)))
    bias = bias_of(values, units, ends=[6])
    alone = [RowBias(found, ends=[6], bonus=BONUS) for found in values]
    start = torch.randn(
        len(values), VOCABULARY, generator=torch.Generator().manual_seed(len(tokens))
    )
    for step in range(len(tokens) + 1):
        if step == dropped and len(units) > 1:
            units = units[1:]
            bias.keep(torch.arange(1, len(units) + 1))
        raised = bias.raise_scores(start[units].clone())
        for row, unit in zip(raised, units, strict=True):
            assert torch.equal(row, alone[unit](tokens[:step], start[unit].clone()))
        if step < len(tokens):
            bias.advance(torch.tensor([tokens[step]] * len(units)))


def test_a_row_that_begins_anew_forgets_what_it_had_written() -> None:
    row = RowBias([[3, 4]], ends=[], bonus=BONUS)
    assert row([3, 4], torch.zeros(VOCABULARY)).max() == 0.0
    assert row([], torch.zeros(VOCABULARY))[3] == BONUS


def test_tokens_of_a_value_are_those_it_has_inside_a_line() -> None:
    files = find_lm(ModelConfig(name="builtin"))
    for value, tokens in zip(
        ("6 pm", "Dr Cutler", "é"),
        value_tokens(files.tokenizer, ["6 pm", "Dr Cutler", "é"]),
        strict=True,
    ):
        assert files.tokenizer.decode(tokens) == f" {value}"
        line = files.text_ids([f"call {value}"])[0]
        assert line[-len(tokens) :] == tokens


def test_the_shipped_lm_mentions_far_more_of_what_is_asked_and_other_units_stay(
    make_request,
) -> None:
    lm = load_frozen_lm(ModelConfig(name="builtin", dtype="float32"), device="cpu")
    context = "Utterances in the hotels domain:\n1) check out [late]: can i leave late\n2) booking"
    values = ("Saint Olga's day", "room 4417")
    asked = dataclasses.replace(
        make_request(1, num_candidates=24, soft=0, context=f"{context} [{'; '.join(values)}]:"),
        values=values,
    )
    other = make_request(2, num_candidates=4, soft=0, context=f"{context}:")
    engine, plain = HFEngine(lm), SAMPLING.model_copy(update={"value_bonus": 0.0})

    def share(sampling: GenerateConfig) -> float:
        found = texts(engine.generate([asked], sampling)[0])
        return sum(value in text for text in found for value in values) / (2 * len(found))

    assert share(SAMPLING) > share(plain) + 0.3
    both = engine.generate([asked, other], SAMPLING)
    assert texts(both[1]) == texts(engine.generate([other], plain)[0])
    assert texts(both[0]) == texts(engine.generate([asked], SAMPLING)[0])


def test_log_probabilities_are_the_lms_own() -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0))
    rare = int(logits.argmin())
    for bonus in (0.0, 60.0):
        ends = torch.zeros(0, dtype=torch.int64)
        token, logprob = choose_tokens(
            logits,
            generated=torch.zeros(1, 0, dtype=torch.int64),
            draws=torch.zeros(1),
            sampling=SAMPLING,
            bias=ValueBias([[[rare, 0]]], torch.tensor([0]), ends=ends, bonus=bonus),
        )
        assert (int(token) == rare) == bool(bonus)
        assert float(logprob) == pytest.approx(float(logits.log_softmax(dim=-1)[0, token]))


@pytest.mark.parametrize("values", [(), ("",)])
def test_nothing_asked_is_no_bonus(tiny_lm, make_request, values: tuple[str, ...]) -> None:
    asked = dataclasses.replace(make_request(1), values=values)
    plain = SAMPLING.model_copy(update={"value_bonus": 0.0})
    assert HFEngine(tiny_lm).generate([asked], SAMPLING) == HFEngine(tiny_lm).generate(
        [asked], plain
    )
