"""``msp review``: serve the page of a finished run until Ctrl-C, then say what was decided."""

from __future__ import annotations

import signal
from typing import Any

from msp.errors import ConfigError
from msp.progress import console
from msp.review.desk import Desk
from msp.review.gold import gold_examples, skipped_notes
from msp.review.opened import OpenedRun, open_finished
from msp.review.server import ReviewServer


def review_run(
    output_uri: str, *, port: int = 0, endpoint_url: str | None = None
) -> dict[str, Any]:
    """Return what was decided, once the person has ended the server, by Ctrl-C or SIGTERM.

    Args:
        output_uri: where a finished run is.
        port: of 127.0.0.1; 0 for any free one.
        endpoint_url: of an S3 store that is not AWS.

    Raises:
        UserError: the run cannot be reviewed (now), or the port is taken.
        StorageError: the store failed.
    """
    run = open_finished(output_uri, endpoint_url=endpoint_url)
    out = console()
    _say_notes(run)
    desk = Desk(run)
    try:
        server = ReviewServer(desk, port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--port {port} cannot be used ({error}); leave it out for any."
        ) from error
    out.print(f"review {run.store.uri} at\n  {server.door.url}", markup=False)
    out.print(
        "open it in a browser on this machine; every decision is stored at once; Ctrl-C ends",
        markup=False,
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with server:
            server.serve_forever()
    except KeyboardInterrupt:
        out.print()
    finally:
        signal.signal(signal.SIGTERM, before)
    summary = desk.summary()
    out.print(_words(summary), markup=False)
    return {"output_uri": run.store.uri, **summary}


def _say_notes(run: OpenedRun) -> None:
    gold = gold_examples(run.store)
    for note in (*run.notes, *skipped_notes(run.store.uri, gold)):
        console().print(f"note: {note}", style="yellow", markup=False)


def _words(summary: dict[str, Any]) -> str:
    counts = ", ".join(
        f"{summary[f'num_{name}']} {name}" for name in ("accepted", "corrected", "rejected")
    )
    return (
        f"{summary['num_decisions']} decisions here; of the run's candidates now {counts}. "
        "A run with this one in task.reviewed takes them as gold."
    )
