"""Whether to go on after a round, and which round's data to end with; both say why.

Rounds that dev cannot tell apart are not chased: a gain that could be luck counts
as none, and no round is preferred to a later one unless that is clearly worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from msp.errors import ConfigError
from msp.improve.config import ImproveConfig
from msp.improve.measure import Interval, Measure, gain, score_interval
from msp.improve.spent import Spent
from msp.records import Example
from msp.report.wording import count, decimal, signed

# A word of the seed examples in tokens of a language model.
_TOKENS_PER_WORD = 4 / 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the loop ends, or None where it goes on; and what is to be said of the last round."""

    end: str | None
    said: str


def check_budget(config: ImproveConfig, seeds: Sequence[Example]) -> None:
    """Pass where one round is likely to fit into the budget, before anything is spent.

    Raises:
        ConfigError: it is not; says how many candidates would fit.
    """
    limit = config.budget.tokens
    if limit is None:
        return
    words = sum(len(example.text.split()) for example in seeds) / max(len(seeds), 1)
    per_candidate = max(1.0, words * _TOKENS_PER_WORD)
    needed = round(config.candidates_per_round * per_candidate)
    if needed > limit:
        raise ConfigError(
            f"budget.tokens is {limit}, but one round of {config.candidates_per_round} candidates "
            f"takes about {needed} (texts as long as the seed examples); lower "
            f"candidates_per_round to {int(limit / per_candidate)}, or allow more tokens."
        )


def decide(config: ImproveConfig, measures: Sequence[Measure], spent: Sequence[Spent]) -> Verdict:
    """Return whether the loop ends now.

    Args:
        config: when to stop.
        measures: of round 0, the seed examples alone, and of every round since.
        spent: of every round since.
    """
    last = measures[-1]
    said = _score_words(last) if len(measures) == 1 else _gain_words(config, measures)
    target = config.stop.target
    if target is not None and last.score >= target:
        return Verdict(f"dev reached {decimal(last.score)}, the target {target:g}.", said)
    if last.number >= config.rounds:
        return Verdict(f"all {config.rounds} rounds are done.", said)
    return Verdict(_no_gain(config, measures) or _over_budget(config, measures, spent), said)


def chosen_round(measures: Sequence[Measure]) -> int:
    """Return the last round that is not clearly worse than an earlier one; 0 where all are."""
    for place in range(len(measures) - 1, 0, -1):
        if all(gain(earlier, measures[place]).high >= 0 for earlier in measures[:place]):
            return measures[place].number
    return 0


def gained(config: ImproveConfig, interval: Interval) -> bool:
    """Say whether a round gained something: enough, and not what could be luck."""
    return interval.value >= config.stop.min_gain and interval.low > 0


def _no_gain(config: ImproveConfig, measures: Sequence[Measure]) -> str | None:
    patience = config.stop.patience
    gains = [gain(a, b) for a, b in pairwise(measures)][-patience:]
    if len(gains) < patience or any(gained(config, found) for found in gains):
        return None
    rounds = "the last round" if patience == 1 else f"each of the last {patience} rounds"
    small = all(found.high < config.stop.min_gain for found in gains)
    why = (
        f"gained less than {config.stop.min_gain:g} points"
        if small
        else f"gained less than {config.stop.min_gain:g} points, or no more than what could be luck"
    )
    return f"{rounds} {why}, as far as {len(measures[-1].uids)} dev examples can tell."


def _over_budget(
    config: ImproveConfig, measures: Sequence[Measure], spent: Sequence[Spent]
) -> str | None:
    if not spent:
        return None
    hours = [
        (of.seconds + measure.seconds) / 3600
        for of, measure in zip(spent, measures[1:], strict=True)
    ]
    series: dict[str, tuple[float | None, list[float]]] = {
        "tokens": (config.budget.tokens, [float(of.total.tokens) for of in spent]),
        "hours": (config.budget.hours, hours),
        "dollars": (config.budget.dollars, [of.dollars or 0.0 for of in spent]),
    }
    for name, (limit, taken) in series.items():
        if limit is not None and sum(taken) + taken[-1] > limit:
            return _budget_words(name, limit, taken)
    return None


def _budget_words(name: str, limit: float, taken: Sequence[float]) -> str:
    def shown(number: float) -> str:
        return count(number) if name == "tokens" else f"{number:.3g}"

    if taken[0] > limit:
        return (
            f"the first round alone took {shown(taken[0])} {name}, more than budget.{name} allows "
            f"({shown(limit)}); lower candidates_per_round or allow more."
        )
    return (
        f"of {shown(limit)} {name} (budget.{name}) {shown(sum(taken))} are spent, and a further "
        f"round takes about {shown(taken[-1])}."
    )


def _score_words(measure: Measure) -> str:
    found = score_interval(measure)
    return (
        f"dev F1 {decimal(found.value)} ({decimal(found.low)} to {decimal(found.high)} on "
        f"{len(measure.uids)} examples)"
    )


def _gain_words(config: ImproveConfig, measures: Sequence[Measure]) -> str:
    found = gain(measures[-2], measures[-1])
    between = f"{signed(found.value)} ({signed(found.low)} to {signed(found.high)})"
    words = f"{_score_words(measures[-1])}, {between} over the round before"
    if found.can_be_luck:
        return f"{words}, which could be luck: dev is too small to tell these two rounds apart"
    if not gained(config, found):
        return f"{words}, which counts as no gain (stop.min_gain {config.stop.min_gain:g})"
    return words
