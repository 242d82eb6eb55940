"""What generators and judges do, as Ray metrics: a Prometheus that scrapes the nodes sees them.

They count work, so what a dead actor did and another made again counts twice; the
run's own figures, which ``msp status`` reads, count what is committed.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable

from ray.util.metrics import Counter


class GeneratorCounters:
    """Units and tokens that a generator writes."""

    def __init__(self) -> None:
        self._units = Counter("msp_units_generated", description="units whose texts are written")
        self._candidates = Counter("msp_candidates_generated", description="texts written")
        self._tokens = Counter("msp_tokens_generated", description="tokens written")

    def add(self, units: Iterable[Iterable[dict[str, int]]]) -> None:
        """Count a shard's units, each a list of texts with their ``num_tokens``."""
        num_tokens = [[text["num_tokens"] for text in unit] for unit in units]
        _inc(self._units, len(num_tokens))
        _inc(self._candidates, sum(map(len, num_tokens)))
        _inc(self._tokens, sum(map(sum, num_tokens)))


class JudgeCounters:
    """Candidates that a judge keeps, and those that it drops by reason."""

    def __init__(self) -> None:
        self._kept = Counter("msp_candidates_kept", description="candidates judged and kept")
        self._dropped = Counter(
            "msp_candidates_dropped",
            description="candidates judged and dropped",
            tag_keys=("reason",),
        )

    def add(self, reasons: Iterable[str | None]) -> None:
        """Count verdicts, each a reason or None where the candidate is kept."""
        found = Counts(reasons)
        _inc(self._kept, found.pop(None, 0))
        for reason, number in found.items():
            self._dropped.inc(number, tags={"reason": str(reason)})


def _inc(counter: Counter, number: int) -> None:
    if number:  # Ray refuses to add nothing
        counter.inc(number)
