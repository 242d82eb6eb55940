"""How candidates are made: each method plans units and opens what writes them."""

from __future__ import annotations

from msp.config import RunConfig
from msp.methods.base import Fit, Method, Opening, Plan, Writer
from msp.methods.clm import open_clm_fit, with_changed_weights
from msp.methods.cvae import open_cvae_fit, with_autoencoder
from msp.methods.dexperts import open_experts_fit, with_experts
from msp.methods.direct import open_direct_fit, writes_nothing
from msp.methods.lm_writers import with_soft_prompts, with_text_alone
from msp.methods.msp import MSPPlan
from msp.methods.quota import QuotaPlan, quota_targets
from msp.methods.rounds import RoundPlan, first_round
from msp.tasks.base import TaskData

__all__ = [
    "METHODS",
    "Fit",
    "Method",
    "Opening",
    "Plan",
    "RoundPlan",
    "Writer",
    "find_method",
    "first_round",
    "learns_a_model",
    "make_plan",
    "quota_targets",
    "tunes_prompts",
]

# generate.method -> the method; a new one is a line here and in GenerateConfig.
METHODS: dict[str, Method] = {
    "msp": Method(with_soft_prompts, tunes_prompts=True),
    "hard_prompt": Method(with_text_alone),
    "clm": Method(with_changed_weights, open_fit=open_clm_fit),
    "dexperts": Method(with_experts, open_fit=open_experts_fit),
    "cvae": Method(with_autoencoder, open_fit=open_cvae_fit),
    "fine_tune": Method(writes_nothing, open_fit=open_direct_fit, is_direct=True),
    "soft_prompt": Method(writes_nothing, open_fit=open_direct_fit, is_direct=True),
}


def find_method(config: RunConfig) -> Method:
    """Return the method that ``generate.method`` names."""
    return METHODS[config.generate.method]


def tunes_prompts(config: RunConfig) -> bool:
    """Tell whether the run tunes soft prompts: its method has some, and its engine an LM."""
    return find_method(config).tunes_prompts and config.generate.engine != "scripted"


def learns_a_model(config: RunConfig) -> bool:
    """Tell whether the run's method learns a model of its own before it writes."""
    method = find_method(config)
    learns = method.open_fit is not None and not method.is_direct
    return learns and config.generate.engine != "scripted"


def make_plan(config: RunConfig, task: TaskData, round_plan: RoundPlan | None = None) -> Plan:
    """Return the plan of a round for a task; of the first one where none is given.

    Raises:
        UserError: the config asks for what the task's seed examples cannot give.
    """
    if config.generate.num_synthetic is None:
        return MSPPlan(config, task)
    plan = round_plan or first_round(config, quota_targets(config, task))
    return QuotaPlan(config, task, plan)
