"""How candidates are asked for: each method plans units and nothing else."""

from __future__ import annotations

from msp.config import RunConfig
from msp.methods.base import Plan
from msp.methods.msp import MSPPlan
from msp.tasks.base import TaskData

_PLANS = {"msp": MSPPlan}


def make_plan(config: RunConfig, task: TaskData) -> Plan:
    """Return the plan of ``config.generate.method`` for a task."""
    return _PLANS[config.generate.method](config, task)
