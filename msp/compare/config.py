"""What a comparison is: a base config, its tasks and arms as overrides of it, and the seeds.

``base`` may name another file; it is read in before the overrides of the
command line, so that ``--set base.task.path=FOLDER`` works either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from msp.compare.ablations import ABLATIONS, AblationSet, Overrides
from msp.config import PositiveInt, Section
from msp.config_file import apply_overrides, checked, read_tree_with_base
from msp.errors import ConfigError, did_you_mean

DEFAULT_BASELINE = "hard_prompt"
# A name is a folder of the comparison, and a part of the links to it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_OWN_KEYS = ("output_uri", "seed")


class CompareConfig(Section):
    """One comparison: every arm on every task with every seed, each a run of its own."""

    output_uri: str = Field(description="where the page and, under cells/, all runs go")
    seeds: Annotated[list[int], Field(min_length=1)] = Field(description="of the runs")
    base: Overrides = Field(description="sections of a run's config, or a file that has them")
    tasks: Annotated[dict[str, Overrides], Field(min_length=1)] = Field(
        description="name -> overrides of base: the data that the arms are compared on"
    )
    arms: Annotated[dict[str, Overrides], Field(min_length=1)] = Field(
        description="name -> overrides of base and task: what is compared"
    )
    groups: dict[str, list[str]] = Field(
        {}, description="name -> tasks that are one column, such as the folds of a data set"
    )
    baseline: str | None = Field(
        None, description="arm to compare with beside seed-only; none: hard_prompt where it is one"
    )
    ablations: list[AblationSet] = Field([], description="further arms, in named sets")
    ablate: str | None = Field(None, description="the arm they change; none: the first")
    cells_at_once: PositiveInt | Literal["auto"] = Field(
        "auto", description="auto: as many as the cluster holds at their smallest"
    )

    @property
    def reference(self) -> str | None:
        """The arm that the others are compared with beside seed-only, where there is one."""
        if self.baseline is None and DEFAULT_BASELINE in self.arms:
            return DEFAULT_BASELINE
        return self.baseline

    @property
    def ablated(self) -> str:
        """The arm that ablations change."""
        return self.ablate or next(iter(self.arms))

    @property
    def columns(self) -> dict[str, list[str]]:
        """Group, or task outside every group -> its tasks, in the order of the tasks."""
        group_of = {task: name for name, tasks in self.groups.items() for task in tasks}
        columns: dict[str, list[str]] = {}
        for task in self.tasks:
            columns.setdefault(group_of.get(task, task), []).append(task)
        return columns

    @model_validator(mode="after")
    def _check(self) -> CompareConfig:
        for key in ("tasks", "arms", "groups"):
            for name in getattr(self, key):
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{key}.{name!r} is no name; it becomes a folder, so use letters, digits, "
                        "and _ . + - after the first."
                    )
        for key in ("baseline", "ablate"):
            if getattr(self, key) is not None:
                _check_known(getattr(self, key), key, self.arms)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds is {self.seeds}; name each once.")
        for name in (name for chosen in self.ablations for name in ABLATIONS[chosen]):
            if name in self.arms:
                raise ValueError(f"arms.{name} has the name of an ablation; call it otherwise.")
        self._check_groups()
        return self

    def _check_groups(self) -> None:
        grouped: dict[str, str] = {}
        for name, tasks in self.groups.items():
            if name in self.tasks:
                raise ValueError(f"groups.{name} has the name of a task; call it otherwise.")
            for task in tasks:
                _check_known(task, f"groups.{name}", self.tasks)
                if task in grouped:
                    raise ValueError(f"task {task} is in two groups, {grouped[task]} and {name}.")
                grouped[task] = name


def load_compare_config(path: Path, overrides: Sequence[str] = ()) -> CompareConfig:
    """Return the comparison's config of a YAML file with ``key=value`` overrides applied.

    Raises:
        ConfigError: the file or its base cannot be read, names an unknown key or breaks a rule.
    """
    tree = read_tree_with_base(path, leaving_out=_OWN_KEYS)
    apply_overrides(tree, overrides)
    config = checked(CompareConfig, tree, str(path))
    named = {"base": config.base}
    named |= {f"tasks.{name}": found for name, found in config.tasks.items()}
    named |= {f"arms.{name}": found for name, found in config.arms.items()}
    for where, found in named.items():
        for key in _OWN_KEYS:
            if key in found:
                raise ConfigError(
                    f"{path}: {where}.{key} is set, but each run of a comparison has its own; "
                    f"leave it out ({'seeds' if key == 'seed' else 'output_uri'} is at the top)."
                )
    return config


def _check_known(name: str, key: str, known: dict[str, Overrides]) -> None:
    if name not in known:
        raise ValueError(
            f"{key} names {name!r}, which is not there{did_you_mean(name, known)} "
            f"(there are: {', '.join(known)})"
        )
