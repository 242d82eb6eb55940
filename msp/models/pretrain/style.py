"""Clean text made to look as users type it: lower case, no punctuation, a slip of the finger."""

from __future__ import annotations

import random
import re


def user_style(text: str, values: list[str], rng: random.Random) -> tuple[str, list[str]]:
    """The text and its values in a user's casual style; values still occur in the text."""
    style = rng.random()
    if style < 0.75:
        text, values = text.lower(), [value.lower() for value in values]
    if style < 0.5 or style > 0.9:
        text = re.sub(r"[.!?,]+(?=\s|$)", "", text)
        values = [re.sub(r"[.!?,]+(?=\s|$)", "", value) for value in values]
    if rng.random() < 0.4:
        text = _slip(text, values, rng)
    return text, values


def _slip(text: str, values: list[str], rng: random.Random) -> str:
    """One letter swapped, dropped or doubled, in a word that belongs to no value."""
    taken = " ".join(values).lower()
    words = [
        match for match in re.finditer(r"[A-Za-z]{4,}", text) if match.group(0).lower() not in taken
    ]
    if not words:
        return text
    word = rng.choice(words)
    at = word.start() + rng.randint(1, len(word.group(0)) - 2)
    letter, after = text[at], text[at + 1]
    slip = rng.choice((after + letter, after, letter + letter + after))
    return text[:at] + slip + text[at + 2 :]
