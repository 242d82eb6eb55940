"""The log of a run, kept in its store so that any machine can read it while it grows."""

from __future__ import annotations

import time

from msp.errors import StorageError
from msp.storage.store import ObjectStore

LOG_KEY = "log.txt"
_WRITE_INTERVAL_SECONDS = 10.0


class RunLog:
    """Lines with the time before them; a resumed run goes on where the log stands.

    Args:
        store: the run's.
        enabled: false for all workers but the first, who say nothing.
    """

    def __init__(self, store: ObjectStore, *, enabled: bool = True) -> None:
        self._store, self._enabled = store, enabled
        self._text = read_log(store) if enabled else ""
        self._written = time.monotonic()

    def __call__(self, line: str) -> None:
        """The line is in the log, in the store within seconds."""
        if not self._enabled:
            return
        self._text += f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n"
        if time.monotonic() - self._written > _WRITE_INTERVAL_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Everything said so far is in the store."""
        if self._enabled:
            self._store.write(LOG_KEY, self._text.encode())
            self._written = time.monotonic()


def read_log(store: ObjectStore) -> str:
    """The log as the store has it; empty where the run has not begun."""
    try:
        return store.read(LOG_KEY).decode() if store.exists(LOG_KEY) else ""
    except UnicodeDecodeError as error:
        raise StorageError(f"{store.uri}/{LOG_KEY} is damaged ({error}); remove it.") from error
