"""One live run on one output: who writes holds a lease, and says so for as long as it lives.

Exactly-once does not rest on it, since every shard is written once whoever
tries. It keeps two runs from doing the same work twice and from publishing over
each other, also on servers that ignore conditional writes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from msp.errors import HeldError, StorageError
from msp.progress import console
from msp.storage.holder import Holder, parse_holder, this_process
from msp.storage.layout import HOLDER_JSON
from msp.storage.store import ObjectStore

# A real signal, since a mere flag does not wake a main thread that waits; and no interrupt,
# which libraries handle as they please and a shell's background jobs ignore.
_WAKE = signal.SIGUSR2


@dataclass(frozen=True)
class Terms:
    """How long a lease lasts, and how often it is renewed and looked at, in seconds.

    Args:
        lease: a holder that says nothing for so long is dead.
        renew: between two renewals.
        look: between two looks at a holder that may be dead.
        margin: how long before its end a lease that cannot be renewed counts as lost.
        grace: for the main thread to end after a lost lease, before the process is ended.
    """

    lease: float = 60.0
    renew: float = 15.0
    look: float = 1.0
    margin: float = 15.0
    grace: float = 10.0


@contextmanager
def held(store: ObjectStore, *, terms: Terms | None = None) -> Iterator[None]:
    """Hold the run while the block runs, in the main thread; end the block if the hold is lost.

    Raises:
        HeldError: another process holds it and is alive.
        StorageError: the store failed, or the lease could not be renewed in time.
    """
    terms = terms or Terms()
    lease = _Lease(store, terms, _acquire(store, terms))
    before = signal.signal(_WAKE, _raise_hold_lost)
    try:
        try:
            yield
        finally:
            lease.release()
    except _HoldLost as error:
        raise StorageError(lease.lost) from error
    finally:
        signal.signal(_WAKE, before)


def live_holder(store: ObjectStore) -> Holder | None:
    """Return who writes to the run now, without touching its lease; None where nobody does."""
    holder = _holder(store)[1]
    if holder is None or (holder.is_here and not holder.is_alive_here):
        return None
    return holder if datetime.fromisoformat(holder.expires) > datetime.now(UTC) else None


class _HoldLost(BaseException):
    """Ends the block of a lost lease, past every ``except Exception`` in it."""


def _raise_hold_lost(signum: int, frame: object) -> None:
    raise _HoldLost


class _Lease:
    """A lease that is renewed by a thread of its own until it is released or lost.

    Another thread watches the time, since a store may keep a renewal waiting for minutes.
    """

    def __init__(self, store: ObjectStore, terms: Terms, holder: Holder) -> None:
        self._store, self._terms, self._holder = store, terms, holder
        self._renewed, self._fault = time.monotonic(), "the store does not answer"
        self._ended = threading.Event()
        self.lost = ""
        self._threads = [
            threading.Thread(target=loop, name="msp-lease", daemon=True)
            for loop in (self._keep, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def release(self) -> None:
        """Stop renewing and give the run free; a store that fails lets the lease run out."""
        self._ended.set()
        for thread in self._threads:
            thread.join(self._terms.grace)
        if not self.lost:
            with suppress(StorageError):
                self._store.replace(HOLDER_JSON, None, expected=self._holder.to_json())

    def _keep(self) -> None:
        while not self._ended.wait(self._terms.renew):
            try:
                self._renew()
            except StorageError as error:
                self._fault = str(error)

    def _renew(self) -> None:
        began, renewed = time.monotonic(), self._holder.renewed(self._terms.lease)
        if self._store.replace(HOLDER_JSON, renewed.to_json(), expected=self._holder.to_json()):
            self._holder, self._renewed = renewed, began
        elif not self._ended.is_set():
            self.lost = f"{self._place()}: {self._other()} took the run from this process; it ends."

    def _watch(self) -> None:
        while not self._ended.wait(self._terms.look):
            silent = time.monotonic() - self._renewed
            if not self.lost and silent > self._terms.lease - self._terms.margin:
                self.lost = (
                    f"{self._place()}: this run could not renew its lease for {silent:.0f} s, so "
                    f"it ends before another may begin ({self._fault}); the same command continues."
                )
            if self.lost:
                self._end_process()
                return

    def _end_process(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)
        if not self._ended.wait(self._terms.grace):
            # The main thread is deep in foreign code, and a run without a lease must not go on.
            print(f"msp: {self.lost}", file=sys.stderr, flush=True)
            os._exit(StorageError.exit_status)

    def _other(self) -> str:
        holder = _holder(self._store)[1]
        return str(holder) if holder else "another"

    def _place(self) -> str:
        return f"{self._store.uri}/{HOLDER_JSON}"


def _acquire(store: ObjectStore, terms: Terms) -> Holder:
    mine = this_process(terms.lease)
    while True:
        if store.write_once(HOLDER_JSON, mine.to_json()):
            return mine
        found, holder = _holder(store)
        if holder is not None and holder.token == mine.token:  # the answer to our write was lost
            return mine
        if holder is not None and holder.is_alive_here:
            raise HeldError(_refusal(store, holder))
        if found and not (holder is not None and holder.is_here):
            _wait_for_its_end(store, terms, found)
        mine = mine.renewed(terms.lease)
        if found and store.replace(HOLDER_JSON, mine.to_json(), expected=found):
            who = str(holder) if holder else "a damaged holder"
            console().print(f"took the run over from {who}, which is dead", markup=False)
            return mine


def _wait_for_its_end(store: ObjectStore, terms: Terms, found: bytes) -> None:
    """Return once a holder elsewhere has said nothing for a lease, by this machine's clock.

    Raises:
        HeldError: it says something, so it is alive.
    """
    who = parse_holder(found) or "a damaged holder"
    console().print(
        f"{store.uri} is held by {who}; waiting up to {terms.lease:.0f} s to see whether it lives",
        markup=False,
    )
    deadline = time.monotonic() + terms.lease
    while time.monotonic() < deadline:
        time.sleep(terms.look)
        now, holder = _holder(store)
        if not now:
            return
        if now != found and holder is not None:
            raise HeldError(_refusal(store, holder))


def _holder(store: ObjectStore) -> tuple[bytes, Holder | None]:
    if not store.exists(HOLDER_JSON):
        return b"", None
    try:
        found = store.read(HOLDER_JSON)
    except StorageError:
        if store.exists(HOLDER_JSON):
            raise
        return b"", None  # released since
    return found, parse_holder(found)


def _refusal(store: ObjectStore, holder: Holder) -> str:
    return (
        f"{store.uri} is being written by {holder}; wait for it or stop it, or use another "
        "output_uri. It loses its hold when it ends, and a minute after it was killed."
    )
