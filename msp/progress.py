"""What a person sees while a long stage runs: counts, rates and time left, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PLAIN_INTERVAL_SECONDS = 10.0


def console() -> Console:
    """Return the console that everything a person reads goes to."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


class StageProgress:
    """One stage's progress: a live bar on a terminal, a line every ten seconds elsewhere.

    Args:
        stage: its name, as in ``tune`` or ``generate``.
        unit: what is counted, in the plural.
        total: how many there will be; None while unknown.
        done: how many were there before this start (a resumed run).
    """

    def __init__(self, stage: str, unit: str, total: int | None, *, done: int = 0) -> None:
        self._stage, self._unit, self._total, self._first = stage, unit, total, done
        self._done = done
        self._started = self._printed = time.monotonic()
        self._console = console()
        self._live = self._bar(done) if sys.stderr.isatty() else None

    def _bar(self, done: int) -> Progress:
        bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
        )
        self._row = bar.add_task(
            self._stage, total=self._total, completed=done, unit=self._unit, figures=""
        )
        return bar

    def __enter__(self) -> StageProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, done: int, *, figures: Mapping[str, str] | None = None) -> None:
        """Show that ``done`` are done, with further figures such as ``{"kept": "31/s"}``."""
        self._done = done
        words = "  ".join(f"{name} {value}" for name, value in (figures or {}).items())
        if self._live:
            self._live.update(self._row, completed=done, figures=words)
            return
        now = time.monotonic()
        if done == self._total or now - self._printed >= _PLAIN_INTERVAL_SECONDS:
            self._printed = now
            self._console.print(f"{self._stage}: {self._line(now)}  {words}".rstrip())

    def _line(self, now: float) -> str:
        elapsed, made = now - self._started, self._done - self._first
        total = self._total
        line = f"{self._done}/{total if total is not None else '?'} {self._unit}, {elapsed:.0f} s"
        if total is not None and made and self._done < total:
            line += f", {elapsed / made * (total - self._done):.0f} s left"
        return line

    def rate(self, count: int) -> str:
        """Return ``count`` per second since the stage started, as text."""
        return f"{count / max(time.monotonic() - self._started, 1e-9):.1f}/s"
