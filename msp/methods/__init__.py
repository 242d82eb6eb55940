"""How candidates are made: each method plans units and opens what writes them."""

from __future__ import annotations

from msp.config import RunConfig
from msp.methods.base import Method, Opening, Plan, Writer
from msp.methods.lm_writers import with_soft_prompts, with_text_alone
from msp.methods.msp import MSPPlan
from msp.methods.promptmix import MixMaker, PromptMixPlan
from msp.methods.quota import QuotaPlan, quota_targets
from msp.methods.rounds import RoundPlan, first_round
from msp.tasks.base import TaskData

__all__ = [
    "METHODS",
    "Method",
    "Opening",
    "Plan",
    "RoundPlan",
    "Writer",
    "find_method",
    "first_round",
    "make_plan",
    "quota_targets",
    "tunes_prompts",
]

# generate.method -> the method; a new one is a line here and in GenerateConfig.
METHODS: dict[str, Method] = {
    "msp": Method(with_soft_prompts, tunes_prompts=True),
    "hard_prompt": Method(with_text_alone),
    "promptmix": Method(with_text_alone),
    "promptmix_soft": Method(with_soft_prompts, tunes_prompts=True),
}


def find_method(config: RunConfig) -> Method:
    """Return the method that ``generate.method`` names."""
    return METHODS[config.generate.method]


def tunes_prompts(config: RunConfig) -> bool:
    """Tell whether the run tunes soft prompts: its method has some, and its engine an LM."""
    return find_method(config).tunes_prompts and config.generate.engine != "scripted"


def make_plan(config: RunConfig, task: TaskData, round_plan: RoundPlan | None = None) -> Plan:
    """Return the plan of a round for a task; of the first one where none is given.

    Raises:
        UserError: the config asks for what the task's seed examples cannot give.
    """
    mixes = config.generate.mixes
    if config.generate.num_synthetic is None:
        return PromptMixPlan(config, task) if mixes else MSPPlan(config, task)
    maker = MixMaker(config, task) if mixes else None
    plan = round_plan or first_round(config, quota_targets(config, task))
    return QuotaPlan(config, task, plan, maker)
