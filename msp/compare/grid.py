"""The cells of a comparison: a run's config for every task, arm and seed, all checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from msp.compare.ablations import ABLATIONS, Like, Overrides
from msp.compare.config import CompareConfig
from msp.config import RunConfig
from msp.config_file import checked
from msp.errors import ConfigError

CELLS_PREFIX = "cells/"
_MAX_NAMED = 8


@dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Args:
        task: name of its task in the grid.
        arm: name of its arm.
        seed: of the run.
        config: the run's.
    """

    task: str
    arm: str
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """What messages call it: ``hotels / msp / 13``."""
        return f"{self.task} / {self.arm} / {self.seed}"

    @property
    def key(self) -> str:
        """Where its run is, below the comparison's output."""
        return f"{CELLS_PREFIX}{self.task}/{self.arm}/{self.seed}"


@dataclass(frozen=True)
class Arm:
    """A column of settings that is compared with others.

    Args:
        name: in the grid.
        overrides: of base and task, as they stand in the config.
        ablation: the set of ablations that it belongs to; None for a method.
    """

    name: str
    overrides: Overrides
    ablation: str | None = None


@dataclass(frozen=True)
class Grid:
    """A comparison's arms and cells, in the order of its config: by task, arm and seed."""

    config: CompareConfig
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]


def make_grid(config: CompareConfig) -> Grid:
    """Return the grid with every cell's config checked.

    An ablation that changes nothing anywhere (the mixture that the arm has) is no arm of it.

    Raises:
        ConfigError: what is wrong, where, and in which cells; every fault is named.
    """
    faults: dict[str, list[str]] = {}
    arms: list[Arm] = []
    cells: dict[str, Cell] = {}
    for arm in _arms(config):
        made = [_cell(config, task, arm, seed, faults) for task, seed in _places(config)]
        own = [cell for cell in made if cell is not None]
        if (
            arm.ablation is not None
            and own
            and all(_changes_nothing(c, config, cells) for c in own)
        ):
            continue
        arms.append(arm)
        cells |= {cell.name: cell for cell in own}
    if faults:
        raise ConfigError("\n".join(_fault_words(*found) for found in faults.items()))
    _check_seeds(config, cells)
    order = {task: position for position, task in enumerate(config.tasks)}
    return Grid(config, tuple(arms), tuple(sorted(cells.values(), key=lambda c: order[c.task])))


def _places(config: CompareConfig) -> list[tuple[str, int]]:
    return [(task, seed) for task in config.tasks for seed in config.seeds]


def _arms(config: CompareConfig) -> list[Arm]:
    methods = [Arm(name, overrides) for name, overrides in config.arms.items()]
    ablations = [
        Arm(name, overrides, ablation)
        for ablation in dict.fromkeys(config.ablations)
        for name, overrides in ABLATIONS[ablation].items()
    ]
    return methods + ablations


def _cell(
    config: CompareConfig, task: str, arm: Arm, seed: int, faults: dict[str, list[str]]
) -> Cell | None:
    """Return the cell, or None with what is wrong with it added to the faults."""
    name = f"{task} / {arm.name} / {seed}"
    try:
        tree = merged(config.base, config.tasks[task])
        tree |= {"output_uri": f"{config.output_uri.rstrip('/')}/{CELLS_PREFIX}", "seed": seed}
        if arm.ablation is None:
            run = checked(RunConfig, merged(tree, arm.overrides), "")
        else:
            tree = merged(tree, config.arms[config.ablated])
            before = checked(RunConfig, tree, "")
            run = checked(RunConfig, merged(tree, _resolved(arm.overrides, before)), "")
    except ConfigError as error:
        faults.setdefault(str(error).strip(": \n"), []).append(name)
        return None
    cell = Cell(task, arm.name, seed, run)
    uri = f"{config.output_uri.rstrip('/')}/{cell.key}"
    return Cell(task, arm.name, seed, run.model_copy(update={"output_uri": uri}))


def merged(tree: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a config's tree with overrides in it, dotted (``task.fold``) or nested.

    Raises:
        ConfigError: an override goes into what is a value.
    """
    found = deepcopy(dict(tree))
    for key, value in _leaves(overrides):
        *parents, leaf = key.split(".")
        node = found
        for name in parents:
            child = node.setdefault(name, {})
            if not isinstance(child, dict):
                raise ConfigError(f"{key}: {name} is a value, not a section.")
            node = child
        node[leaf] = deepcopy(value)
    return found


def _leaves(overrides: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return dotted keys and values; a section's mapping is gone into, a setting's is a value."""
    leaves: list[tuple[str, Any]] = []
    for key, value in overrides.items():
        if "." not in key and isinstance(value, dict):
            leaves += [(f"{key}.{inner}", found) for inner, found in value.items()]
        else:
            leaves.append((key, value))
    return leaves


def _resolved(overrides: Overrides, config: RunConfig) -> Overrides:
    return {
        key: value.value_in(config) if isinstance(value, Like) else value
        for key, value in overrides.items()
    }


def _changes_nothing(cell: Cell, config: CompareConfig, cells: Mapping[str, Cell]) -> bool:
    ablated = cells.get(f"{cell.task} / {config.ablated} / {cell.seed}")
    return ablated is not None and ablated.config.defining() == cell.config.defining()


def _fault_words(fault: str, names: list[str]) -> str:
    shown = "; ".join(names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"cell{'s' * (len(names) > 1)} {shown}{more}: {fault}"


def _check_seeds(config: CompareConfig, cells: Mapping[str, Cell]) -> None:
    """Refuse run seeds so close that two runs would train students with the same seed.

    A run trains its students with seed, seed + 1, ...; where two runs share one,
    their seed-only scores are partly one and the same training, and no two pairs.
    """
    longest = max(cell.config.student.num_seeds for cell in cells.values())
    seeds = sorted(config.seeds)
    for one, next_one in pairwise(seeds):
        if next_one - one < longest:
            apart = [seeds[0] + longest * index for index in range(len(seeds))]
            raise ConfigError(
                f"seeds {one} and {next_one} are {next_one - one} apart, but a run trains "
                f"students with {longest} seeds, from its own on (student.num_seeds), so two runs "
                f"would share trainings; use such as {apart}."
            )
