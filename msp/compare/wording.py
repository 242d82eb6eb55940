"""How a comparison says who wins, by how much and how sure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from msp.compare.grid import Arm
from msp.compare.results import SEED_ONLY
from msp.compare.statistics import Paired
from msp.compare.table import Column, Table
from msp.report.wording import DASH, decimal, show_invisible, signed

_MARKUP = re.compile(r"([\\`*_\[\]<>|])")
# Of a plot's width, kept free on each side.
_MARGIN = 2.0


class Sureness(NamedTuple):
    """A mark, the word for it, and the class that colours it."""

    mark: str
    word: str
    tone: str


def sureness(paired: Paired | None) -> Sureness:
    """Return how sure a difference is: clear, leaning, or not to be told from luck."""
    if paired is None:
        return Sureness("", "no pair to compare", "unknown")
    if paired.tone != "same":
        return Sureness("\u25cf", "clear: p is 0.05 or less", paired.tone)
    if paired.leans:
        return Sureness("\u25d0", "leans: the interval leaves 0 out, p is above 0.05", "same")
    return Sureness("\u25cb", "could be luck", "same")


def p_value(p: float, with_name: bool = True) -> str:
    """Write a p-value: ``p = 0.25``, ``p = 0.055``, ``p < 0.001``."""
    shown = "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
    words = f"p {shown}" if with_name else shown.removeprefix("= ")
    return words.replace(" ", "\u00a0")


def paired_words(paired: Paired | None) -> str:
    """Write a tested difference: ``+4.4 (3.3 to 5.3; p = 0.25, 3 pairs)``."""
    if paired is None:
        return DASH
    pairs = f"{paired.num_pairs} pair{'s' * (paired.num_pairs != 1)}"
    between = "" if paired.low is None else f"{interval(paired)}; "
    return f"{signed(paired.mean)} ({between}{p_value(paired.p)}, {pairs})"


def interval(paired: Paired) -> str:
    """Write a 95 % interval: ``3.3 to 5.3``; a dash where one pair gives none."""
    if paired.low is None or paired.high is None:
        return DASH
    # Rounded first, or a little below 0 would read as -0.0.
    return f"{decimal(round(paired.low, 1) + 0.0)} to {decimal(round(paired.high, 1) + 0.0)}"


def place(value: float, low: float, high: float) -> float:
    """Return where a value stands in a plot, in percent of its width."""
    return _MARGIN + (100 - 2 * _MARGIN) * (value - low) / ((high - low) or 1.0)


def markdown_text(text: object) -> str:
    """Return text that Markdown shows as it stands, on one line of a table."""
    return _MARKUP.sub(r"\\\1", " ".join(show_invisible(text).split()))


def num_tests(table: Table, arms: Sequence[Arm]) -> int:
    """Return how many tests a page shows the outcome of for its first metric."""
    shown: list[Paired | None] = []
    for column in table.shown:
        for arm in arms:
            entry = column.entries[arm.name]
            if arm.ablation is not None:
                shown.append(entry.over_ablated)
            else:
                shown += [entry.over_seed_only, entry.over_label_texts, entry.over_reference]
        shown.append(column.win.margin if column.win else None)
    return sum(paired is not None for paired in shown)


def verdict(table: Table, reference: str | None) -> tuple[str, list[str]]:
    """Return a tone and honest sentences for the top of the page."""
    summary = table.summary
    if summary is None or summary.win is None:
        return "unknown", ["No cell is done yet, so there is nothing to compare."]
    sentences = [_wins(table.columns)] if table.overall else []
    if summary.win.arm == SEED_ONLY:
        sentences.append("No method has a higher mean than the seed examples alone.")
        return "worse", sentences
    arm, entry = summary.win.arm, summary.entries[summary.win.arm]
    where = f"{'Over' if summary.is_overall else 'On'} {summary.name}"
    sentences.append(f"{where} {arm} is first: {_told(entry.over_seed_only, 'over seed only')}.")
    if entry.over_label_texts is not None:
        sentences.append(f"Over the labels' own words: {_told(entry.over_label_texts)}.")
    if entry.over_reference is not None:
        sentences.append(f"Over {reference}: {_told(entry.over_reference)}.")
    runner_up = summary.win.runner_up
    if runner_up not in (None, reference):
        sentences.append(f"Over {runner_up}, the next: {_told(summary.win.margin)}.")
    return sureness(entry.over_seed_only).tone, sentences


def _wins(columns: Sequence[Column]) -> str:
    arms = [column.win.arm for column in columns if column.win]
    counts = {arm: arms.count(arm) for arm in sorted(set(arms), key=lambda a: -arms.count(a))}
    shown = ", ".join(f"{arm} on {count}" for arm, count in counts.items())
    return f"Highest mean of {len(arms)} tasks: {shown}."


def _told(paired: Paired | None, over: str = "") -> str:
    if paired is None:
        return DASH
    pairs = f"{paired.num_pairs} pair{'s' * (paired.num_pairs != 1)}"
    between = "" if paired.low is None else f"95 % interval {interval(paired)}, "
    points = f"{signed(paired.mean)} points {over}".rstrip()
    words = f"{points} ({between}{p_value(paired.p)}, {pairs})"
    if paired.tone != "same":
        return words
    if paired.smallest_p > 0.05:
        return f"{words}; so few pairs cannot make any difference sure"
    return f"{words}; that could be luck"
