"""What a cell of a comparison says when it fails, from its real process."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.distributed.cell_worker import CellWork, _last_error, run_cell
from msp.storage.store import open_store


def test_a_cell_that_fails_gives_its_last_message_and_leaves_its_log(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    config = {
        "output_uri": str(tmp_path / "out/cells/a/b/13"),
        "task": {"name": "jsonl", "path": str(tmp_path / "gone.jsonl")},
    }
    error = run_cell(CellWork(config, "cells/a/b/13", store))
    assert "gone.jsonl" in error and error.endswith("(exit status 2)")
    assert "gone.jsonl" in store.read("cells/a/b/13.log").decode()
    assert not (tmp_path / "out/cells/a/b/13").exists()


@pytest.mark.parametrize(
    ("log", "status", "said"),
    [
        ("note: x\nmsp: cell.yaml:\n  seed is 'a'\n", 2, "cell.yaml: seed is 'a' (exit status 2)"),
        ("msp: first\nmsp: last\n", 1, "last (exit status 1)"),
        (
            "msp: ended\n  here\n\x1b[33m(raylet)\x1b[0m Task failed\n",
            1,
            "ended here (exit status 1)",
        ),
        ("msp: ended\n(pid=3) bye\n", 1, "ended (exit status 1)"),
        ("Traceback\nKeyError: 'x'\n\n", 1, "KeyError: 'x' (exit status 1)"),
        ("tune: 0/12 epochs\n", -9, "tune: 0/12 epochs (ended by signal 9)"),
        ("", -9, "(ended by signal 9)"),
    ],
)
def test_the_last_error_is_the_commands_own_or_its_last_line(
    tmp_path: Path, log: str, status: int, said: str
) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert _last_error(path, status) == said
