"""What a loop is: a base config, how much each round may generate and by which policy, and its end.

What is fixed when the loop starts (:meth:`ImproveConfig.defining`) and what a
later start may set otherwise (when to stop, the machines, what people decided) are told apart here.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from msp.config import Fraction, PositiveFloat, PositiveInt, RunConfig, Section
from msp.config_file import apply_overrides, checked, read_tree_with_base
from msp.errors import ConfigError, did_you_mean
from msp.improve.policies import POLICIES
from msp.methods import find_method

# What the loop sets itself in each round's run.
_OWN = {
    "output_uri": None,
    "parent": None,
    "generate": ("num_synthetic", "balance", "balance_over", "max_rounds", "first_unit"),
}


class MeasureConfig(Section):
    """How a round is measured, never on test examples."""

    on: Literal["auto", "dev", "crossfit"] = Field(
        "auto",
        description="dev: the dev examples; crossfit: seed and dev examples, each scored by "
        "students of the other seed examples and of what was written without it in view; auto: "
        "dev where it has 200 examples or more",
    )
    folds: Annotated[int, Field(ge=2)] = Field(5, description="of crossfit")
    trainings: PositiveInt = Field(3, description="of each fold, with other initial weights")


class StopConfig(Section):
    """When the loop has done enough."""

    min_gain: Annotated[float, Field(ge=0.0)] = Field(
        0.5, description="points of dev score below which a round gained nothing"
    )
    patience: PositiveInt = Field(
        2, description="rounds in a row that gained nothing, or nothing that could not be luck"
    )
    target: Annotated[float, Field(gt=0.0, le=100.0)] | None = Field(
        None, description="dev score that is enough; none: there is none"
    )


class BudgetConfig(Section):
    """What the rounds may take together; none: no limit."""

    tokens: PositiveInt | None = None
    hours: PositiveFloat | None = None
    dollars: PositiveFloat | None = Field(None, description="needs cluster.dollars_per_*_hour")


class ImproveConfig(Section):
    """One loop: every round is a run under ``output_uri``, and goes on from the one before."""

    output_uri: str = Field(description="where the report and, under rounds/, all runs go")
    base: dict[str, Any] = Field(description="sections of a run's config, or a file that has them")
    rounds: PositiveInt = Field(3, description="at most so many")
    candidates_per_round: PositiveInt = Field(
        description="what a round generates, kept or dropped; as many units as that makes"
    )
    policy: str = Field("error_shortage", description="where a round spends them")
    measure: MeasureConfig = MeasureConfig()
    stop: StopConfig = StopConfig()
    budget: BudgetConfig = BudgetConfig()
    score_test: bool = Field(
        True, description="train and score the last round's students on test, once, at the end"
    )
    share_explored: Fraction = Field(
        0.1, description="of each round, spread over all attributes alike whatever the policy says"
    )

    @field_validator("policy")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in POLICIES:
            raise ValueError(
                f"policy is {name!r}, which is not there{did_you_mean(name, POLICIES)} (there are: "
                f"{', '.join(POLICIES)})"
            )
        return name

    @model_validator(mode="after")
    def _check(self) -> ImproveConfig:
        for section, keys in _OWN.items():
            found = self.base.get(section)
            for key in keys or ():
                if isinstance(found, dict) and key in found:
                    raise ValueError(
                        f"base.{section}.{key} is set, but the loop sets it in every round; leave "
                        "it out (candidates_per_round and policy say how much, and of what)."
                    )
            if keys is None and section in self.base:
                raise ValueError(
                    f"base.{section} is set, but each round has its own; leave it out"
                    f"{' (output_uri is at the top)' if section == 'output_uri' else ''}."
                )
        return self

    def run_config(self, **overrides: Any) -> RunConfig:
        """Return a round's config: the base, with what is the round's own.

        Args:
            overrides: ``output_uri`` and others of the top, ``generate`` as a mapping.

        Raises:
            ConfigError: it breaks a rule of runs.
        """
        tree = deepcopy(self.base)
        own = dict(overrides)
        tree["generate"] = {**(tree.get("generate") or {}), **own.pop("generate", {})}
        tree.update({"output_uri": self.output_uri, **own})
        return checked(RunConfig, tree, "base")

    @property
    def units_per_round(self) -> int:
        """How many units a round has."""
        per_unit = self.run_config().generate.num_candidates_per_unit
        return self.candidates_per_round // per_unit


def load_improve_config(path: Path, overrides: Sequence[str] = ()) -> ImproveConfig:
    """Return the loop's config of a YAML file with ``key=value`` overrides applied.

    Raises:
        ConfigError: the file or its base cannot be read, names an unknown key or breaks a rule.
    """
    tree = read_tree_with_base(path, leaving_out=("output_uri",))
    apply_overrides(tree, overrides)
    config = checked(ImproveConfig, tree, str(path))
    _check_round(config, str(path))
    return config


def _check_round(config: ImproveConfig, path: str) -> None:
    run = config.run_config()
    per_unit = run.generate.num_candidates_per_unit
    if config.candidates_per_round < per_unit:
        raise ConfigError(
            f"{path}: candidates_per_round is {config.candidates_per_round}, but one unit makes "
            f"{per_unit} (generate.num_candidates_per_unit); allow a round more."
        )
    if find_method(run).is_direct:
        raise ConfigError(
            f"{path}: generate.method is {run.generate.method}, which generates nothing, so a loop "
            "has nothing to spend; use another method."
        )
    prices = ("dollars_per_head_hour", "dollars_per_gpu_hour", "dollars_per_cpu_hour")
    if config.budget.dollars and all(getattr(run.cluster, price) is None for price in prices):
        raise ConfigError(
            f"{path}: budget.dollars is {config.budget.dollars:g}, but no price is known; set "
            f"base.cluster.{prices[0]}, {prices[1]} or {prices[2]}."
        )
