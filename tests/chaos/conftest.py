"""The chaos suite's option, its stage, and the table at its end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from outcomes import OUTCOMES, Record, markdown
from play import CONFIG, GROWN, PROMPTMIX, play
from schedule import Schedule
from servers import S3Server, moto_server
from stage import PLANTED, Stage
from work_log import FOLDER

__all__ = ["moto_server"]

HERE = Path(__file__).parent
# Three tries of a request: a short burst of faults is outlived, a long one ends the command.
_ATTEMPTS = "3"
# Method -> the schedules that hit runs of it unless others are asked for.
_SEEDS: dict[str, Sequence[int]] = {"msp": range(5), "promptmix": [1], "data_creation": [3]}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption(
        "--chaos-seed", type=int, action="append", help="play this schedule; repeatable"
    )
    group.addoption("--chaos-method", choices=tuple(_SEEDS), help="hit runs of this one alone")
    group.addoption("--chaos-table", metavar="FILE", help="write the table as Markdown, too")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play what was asked for; else a few schedules, and msp's 5 to 104 among the slow tests."""
    if "chaos_case" not in metafunc.fixturenames:
        return
    method = metafunc.config.getoption("--chaos-method")
    asked = metafunc.config.getoption("--chaos-seed")
    if asked or method:
        cases = [(method or "msp", seed) for seed in asked or range(5)]
    else:
        cases = [(name, seed) for name, seeds in _SEEDS.items() for seed in seeds]
    slow = [(method or "msp", seed) for seed in range(5, 105) if not asked]
    marked = [pytest.param(case, marks=pytest.mark.slow) for case in slow]
    metafunc.parametrize("chaos_case", [*cases, *marked], ids=lambda case: f"{case[0]}-{case[1]}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    outcomes = config.stash.get(OUTCOMES, [])
    if not outcomes:
        return
    table = markdown(outcomes)
    terminalreporter.section("chaos")
    terminalreporter.write(table)
    file = config.getoption("--chaos-table")
    if file:
        Path(file).write_text(table)


# Of a module, so that neither its cluster nor its environment reaches the tests that follow.
@pytest.fixture(scope="module")
def stage(moto_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A cluster whose processes find the S3 server's credentials and these modules."""
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**moto_server.env, **PLANTED}.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
        patch.setenv(FOLDER, str(tmp_path_factory.mktemp("work")))
        patch.setenv("AWS_MAX_ATTEMPTS", _ATTEMPTS)
        patch.setenv("RAY_worker_niceness", "0")
        stage = Stage()
        try:
            yield stage
        finally:
            stage.kill()


@pytest.fixture(scope="module")
def templates(plants_path: Path, questions_path: Path) -> dict[str, str]:
    """Method -> the config of the runs of it that are hit; all make as many shards."""
    return {
        "msp": CONFIG,
        "promptmix": PROMPTMIX.replace("DATA", str(plants_path)),
        "data_creation": GROWN.replace("DATA", str(questions_path)),
    }


@pytest.fixture(scope="module")
def questions_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few yes/no questions, as they are published."""
    folder = tmp_path_factory.mktemp("questions")
    for split in ("train", "dev", "test"):
        rows = [
            {
                "question": f"Is {split} {n} of a kind, as was said {n * 7} times?",
                "context": None,
                "options": ["True", "False"],
                "label": n % 2 == 0,
            }
            for n in range(6)
        ]
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def unbroken(
    stage: Stage,
    moto_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
    templates: dict[str, str],
) -> Callable[[str], Record]:
    """Return what a method's run leaves when nothing happens to it; each runs once."""

    @cache
    def record_of_method(method: str) -> Record:
        outcome, record = play(
            Schedule(-1, "folder", ()),
            stage=stage,
            folder=tmp_path_factory.mktemp("unbroken"),
            server=moto_server,
            unbroken=None,
            config=templates[method],
        )
        assert outcome.num_starts == 1 and outcome.made_again == 0
        return record

    return record_of_method
