"""How candidates are asked for: each method plans units and nothing else."""

from __future__ import annotations

from msp.config import RunConfig
from msp.methods.base import Plan
from msp.methods.msp import MSPPlan
from msp.methods.quota import QuotaPlan, quota_targets
from msp.methods.rounds import RoundPlan, first_round
from msp.tasks.base import TaskData

__all__ = ["Plan", "RoundPlan", "first_round", "make_plan", "quota_targets"]


def make_plan(config: RunConfig, task: TaskData, round_plan: RoundPlan | None = None) -> Plan:
    """Return the plan of a round for a task; of the first one where none is given.

    Raises:
        UserError: the config asks for what the task's seed examples cannot give.
    """
    if config.generate.num_synthetic is None:
        return MSPPlan(config, task)
    plan = round_plan or first_round(config, quota_targets(config, task))
    return QuotaPlan(config, task, plan)
