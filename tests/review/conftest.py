"""Finished runs to review."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from review_runs import make_run, run_config

from msp.review.desk import Desk
from msp.review.opened import open_finished


@pytest.fixture(scope="session")
def scripted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the scripted engine; copy it before deciding on it."""
    folder = tmp_path_factory.mktemp("scripted") / "run"
    make_run(run_config(folder))
    return folder


@pytest.fixture
def reviewed(scripted_run: Path, tmp_path: Path) -> Path:
    """A copy of the scripted run, to decide on."""
    return Path(shutil.copytree(scripted_run, tmp_path / "reviewed"))


@pytest.fixture
def desk_of() -> Callable[[Path], Desk]:
    """Return what opens a desk on a run; always with the same draw."""
    return lambda path: Desk(open_finished(str(path)), lot=7)
