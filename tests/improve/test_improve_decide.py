"""When a loop ends, what it says, and which round it ends with."""

from __future__ import annotations

import pytest
from loops import loop_config, made_measure, made_spent

from msp.errors import ConfigError
from msp.improve.decide import check_budget, chosen_round, decide
from msp.improve.measure import Measure, gain, score_interval
from msp.records import Example

POOR, FAIR, GOOD = ([share] * 3 for share in (0.2, 0.5, 0.9))


def rounds(*shares: list[float], num: int = 300) -> list[Measure]:
    return [made_measure(number, share, num=num) for number, share in enumerate(shares)]


def test_a_loop_goes_on_while_rounds_gain_and_ends_when_all_are_done() -> None:
    config = loop_config(rounds=2)
    assert decide(config, rounds(POOR), []).end is None
    assert decide(config, rounds(POOR, FAIR), [made_spent(1)]).end is None
    ended = decide(config, rounds(POOR, FAIR, GOOD), [made_spent(1), made_spent(2)])
    assert ended.end == "all 2 rounds are done."


def test_a_target_ends_the_loop() -> None:
    config = loop_config(stop={"target": 80})
    assert "the target 80" in (decide(config, rounds(POOR, GOOD), [made_spent(1)]).end or "")


def test_a_dev_set_too_small_to_tell_rounds_apart_is_said_and_the_loop_does_not_go_on() -> None:
    few = [made_measure(0, FAIR, num=9), made_measure(1, [0.5, 0.6, 0.5], num=9)]
    verdict = decide(loop_config(rounds=9, stop={"patience": 1}), few, [made_spent(1)])
    found = gain(*few)
    assert found.low <= 0 <= found.high
    assert "on 9 examples" in verdict.said and "too small to tell these two" in verdict.said
    assert verdict.end is not None and "luck" in verdict.end


def test_patience_counts_rounds_in_a_row() -> None:
    config = loop_config(rounds=9, stop={"patience": 2})
    spent = [made_spent(number) for number in (1, 2, 3)]
    one_bad = rounds(POOR, FAIR, FAIR)
    assert decide(config, one_bad, spent[:2]).end is None
    again = [*one_bad, made_measure(3, FAIR, num=300)]
    assert "each of the last 2 rounds" in (decide(config, again, spent).end or "")
    recovered = [*one_bad, made_measure(3, GOOD, num=300)]
    assert decide(config, recovered, spent).end is None


@pytest.mark.parametrize(
    ("budget", "said"),
    [({"tokens": 1500}, "1,500 tokens"), ({"hours": 0.01}, "hours"), ({"dollars": 3}, "dollars")],
)
def test_a_budget_that_a_further_round_would_exceed_ends_the_loop(
    budget: dict[str, float], said: str
) -> None:
    base = {"cluster": {"dollars_per_head_hour": 1.0}}
    config = loop_config(rounds=9, budget=budget, base=base)
    ended = decide(config, rounds(POOR, FAIR), [made_spent(1, dollars=2.0)]).end
    assert ended is not None and said in ended and "a further round takes about" in ended


def test_a_first_round_that_took_more_than_the_budget_is_named() -> None:
    config = loop_config(rounds=9, budget={"tokens": 900})
    ended = decide(config, rounds(POOR, FAIR), [made_spent(1)]).end
    assert ended is not None and ended.startswith("the first round alone took 1,000 tokens")


def test_a_budget_that_one_round_exceeds_is_refused_before_anything_is_spent() -> None:
    seeds = [Example("a", "nine words are in this text as you see")]
    check_budget(loop_config(budget={"tokens": 1200}), seeds)
    with pytest.raises(ConfigError, match=r"takes about 1200 .*lower candidates_per_round to 75"):
        check_budget(loop_config(budget={"tokens": 900}), seeds)


def test_the_last_round_that_is_not_clearly_worse_is_chosen() -> None:
    assert chosen_round(rounds(POOR)) == 0
    assert chosen_round(rounds(POOR, GOOD)) == 1
    assert chosen_round(rounds(POOR, GOOD, GOOD)) == 2
    assert chosen_round(rounds(POOR, GOOD, POOR)) == 1
    assert chosen_round(rounds(GOOD, POOR)) == 0


def test_an_interval_holds_its_score_and_shrinks_with_more_examples() -> None:
    few, many = (score_interval(made_measure(0, FAIR, num=num)) for num in (30, 600))
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_a_measurement_survives_its_record() -> None:
    import json

    before = made_measure(3, FAIR)
    after = Measure.from_json(json.loads(before.to_json()))
    assert after.to_json() == before.to_json()
    assert gain(before, after).value == 0
