"""The watch that stops a run which drops nearly everything, before the cluster is paid for it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from msp.config import DenoiseConfig
from msp.denoise.agreement import SPANS_NOT_AGREED
from msp.denoise.keep import OFF_TOPIC, OVER_QUOTA
from msp.errors import DropRateError

_ADVICE = {
    "empty": "lower generate.temperature or tune the prompts longer (tune.num_epochs)",
    "copy_of_exemplar": "raise generate.temperature or lower prompts.num_exemplars",
    "copy_of_seed": "raise generate.temperature or lower tune.num_epochs",
    "contaminated": "look whether denoise.decontaminate names the right files",
    "rejected_by_reviewer": "raise generate.temperature, so that other texts come",
    "kept_before": "raise generate.temperature, so that other texts come",
    "duplicate_in_unit": "raise generate.temperature or lower generate.num_candidates_per_unit",
    "unplaced_value": "lower generate.temperature or name a larger model.name",
    "unanswered": "tune longer (tune.num_epochs) or name a larger model.name",
    "missing_value": "raise generate.value_bonus, set denoise.require_values to false or name a "
    "larger model.name",
    SPANS_NOT_AGREED: "lower denoise.span_agreement or name a larger model.name",
    OFF_TOPIC: "lower generate.temperature",
}


class DropRateWatch:
    """Counts the verdicts of the last candidates; raises where too few of them are good.

    ``over_quota`` is no fault: such a candidate was good, only others were better.

    Args:
        config: ``drop_rate_window`` candidates are watched and at most ``max_drop_rate`` of
            them may be dropped; 1 never stops a run.
    """

    def __init__(self, config: DenoiseConfig) -> None:
        self._config = config
        self._window: deque[tuple[int, Counter[str]]] = deque()
        self._seen = 0
        self._dropped: Counter[str] = Counter()

    def add(self, num_candidates: int, dropped: Mapping[str, int]) -> None:
        """Count a unit's or a shard's verdicts.

        The window moves by whole calls: it is the fewest last ones that hold
        ``drop_rate_window`` candidates.

        Args:
            num_candidates: how many were judged.
            dropped: reason -> how many of them were dropped for it.

        Raises:
            DropRateError: the window is full and too much of it was dropped.
        """
        faults = Counter({r: n for r, n in dropped.items() if r != OVER_QUOTA and n})
        self._window.append((num_candidates, faults))
        self._seen += num_candidates
        self._dropped += faults
        while self._seen - self._window[0][0] >= self._config.drop_rate_window:
            num_old, old = self._window.popleft()
            self._seen -= num_old
            self._dropped -= old
        if self._seen >= self._config.drop_rate_window:
            self.check()

    def check(self) -> None:
        """Judge what the window holds, full or not, as at the end of a run shorter than it.

        Raises:
            DropRateError: too much of it was dropped; the message names the commonest reason
                and the settings that act on it.
        """
        num_dropped = self._dropped.total()
        if num_dropped <= self._config.max_drop_rate * self._seen:
            return
        reason, count = min(self._dropped.items(), key=lambda item: (-item[1], item[0]))
        advice = _ADVICE.get(reason, "change generate.temperature")
        raise DropRateError(
            f"denoise dropped {num_dropped} of the last {self._seen} candidates "
            f"({count} {reason}); {advice} or raise denoise.max_drop_rate."
        )
