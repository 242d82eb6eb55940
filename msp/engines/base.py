"""What every engine takes and gives: requests in, raw texts out, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msp.config import GenerateConfig
from msp.records import Generated

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Request:
    """One unit as an engine sees it.

    Args:
        unit_id: the unit, for messages.
        context: the text after the soft prompt; may be empty.
        soft: [S, H], the unit's mixed soft prompt without padding; None for text alone.
        num_candidates: how many texts are wanted.
        random_seed: candidate k draws from random stream ``random_seed + k``.
        values: slot values that each text must mention; see ``generate.value_bonus``.
        steering: (adapter, weight) of each adapter whose logits are added to the LM's; only the
            steered engine looks at it.
    """

    unit_id: int
    context: str
    soft: Tensor | None
    num_candidates: int
    random_seed: int
    values: tuple[str, ...] = ()
    steering: tuple[tuple[int, float], ...] = ()


class Engine(Protocol):
    """Writes texts. A text depends on its request, its stream and the sampling alone."""

    def generate(
        self, requests: Sequence[Request], sampling: GenerateConfig
    ) -> list[list[Generated]]:
        """Return ``num_candidates`` texts for each request, in the requests' order.

        A text is cut at its first newline and stripped; it may be empty.

        Raises:
            GenerationError: a request does not fit the LM, or the LM fails for good.
        """
        ...

    def take_counts(self) -> dict[str, int]:
        """Return what was counted since this was last asked, for a run's profile.

        ``prompt_positions`` were computed or looked up; of these ``padding_positions`` were
        nobody's and ``cached_positions`` came out of a cache. An engine leaves out what it
        does not count.
        """
        ...


class Question(NamedTuple):
    """A text and the classes that it may have.

    Args:
        text: one candidate.
        options: the classes' names in words, the nearest first.
        shown: texts of these classes with their class, the nearest class's last.
    """

    text: str
    options: tuple[str, ...]
    shown: tuple[tuple[str, str], ...] = ()


class Chooser(Protocol):
    """What answers such questions."""

    def choose(self, questions: Sequence[Question]) -> list[int]:
        """Return the place of the chosen option of each question, the same for the same questions.

        An answer follows from its own question; others that are asked with it decide nothing.
        """
        ...
