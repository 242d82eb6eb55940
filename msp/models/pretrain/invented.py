"""Values that nobody wrote: times, dates, amounts, numbers and names, drawn from wordings."""

from __future__ import annotations

import random

MONTHS = (
    "January February March April May June July August September October November December".split()
)
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NUMBER_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty".split()
)


def generate(kind: str, rng: random.Random) -> str:
    """A random number, time, date or amount expression, in one of many wordings."""
    hour, minute, day = rng.randint(1, 12), rng.randint(0, 59), rng.randint(1, 31)
    month, weekday = rng.choice(MONTHS), rng.choice(DAYS)
    half = rng.choice(("am", "pm", "a.m.", "p.m.", "AM", "PM"))
    options: dict[str, tuple[str, ...]] = {
        "number": (
            str(rng.randint(1, 20)),
            str(rng.randint(1, 9999)),
            rng.choice(NUMBER_WORDS),
            f"{rng.randint(1, 99)}",
        ),
        "time": (
            f"{hour} {half}",
            f"{hour}:{minute:02d} {half}",
            f"{hour}:{minute:02d}",
            f"half past {hour}",
            f"a quarter to {hour}",
            f"{rng.choice((5, 10, 20, 25))} to {hour} {half}",
            f"{hour} in the {rng.choice(('morning', 'evening', 'afternoon'))}",
            f"{hour} o'clock",
            f"{rng.choice((5, 10, 20, 25))} past {rng.choice(NUMBER_WORDS[:12])}",
        ),
        "date": (
            f"the {_ordinal(day)} of {month}",
            f"{month} {_ordinal(day)}",
            f"{month} {day}",
            f"{_ordinal(day)} of {month}",
            f"next {weekday}",
            weekday,
            f"{weekday} the {_ordinal(day)}",
            f"{day} {month} {rng.randint(1990, 2030)}",
            f"the {_ordinal(day)}",
            rng.choice(("today", "tomorrow", "next week", "this weekend", "the day after")),
        ),
        "amount": (
            f"${rng.randint(1, 2000)}",
            f"{rng.randint(1, 2000)} dollars",
            f"{rng.randint(1, 500)} pounds",
            f"${rng.randint(1, 200)}.{rng.randint(0, 99):02d}",
            f"{rng.randint(1, 500)} euros",
        ),
    }
    return rng.choice(options[kind])


def person(rng: random.Random) -> str:
    """A made-up name of pronounceable syllables, capitalised, of one or two words."""
    return " ".join(_made_up_word(rng) for _ in range(rng.choice((1, 2, 2))))


def _made_up_word(rng: random.Random) -> str:
    word = _syllables(rng)
    while word in NUMBER_WORDS:  # "ten" can be spelled by chance, and is nobody's name.
        word = _syllables(rng)
    return word.capitalize()


def _syllables(rng: random.Random) -> str:
    return "".join(
        rng.choice(("b", "d", "f", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "ch", "sh"))
        + rng.choice(("a", "e", "i", "o", "u", "ai", "ee"))
        + rng.choice(("", "", "n", "r", "l", "s", "m"))
        for _ in range(rng.choice((1, 2, 2, 3)))
    )


def _ordinal(day: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(day % 10 if day not in (11, 12, 13) else 0, "th")
    return f"{day}{suffix}"
