"""How candidates are made: each method plans units and opens what writes them."""

from __future__ import annotations

from collections.abc import Callable

from msp.config import ModelConfig, RunConfig
from msp.config_methods import WITHOUT_LM
from msp.errors import ConfigError
from msp.methods import quota
from msp.methods.balance import Cell
from msp.methods.base import Fit, Method, Opening, Plan, Writer
from msp.methods.clm import open_clm_fit, with_changed_weights
from msp.methods.cvae import open_cvae_fit, with_autoencoder
from msp.methods.data_creation import (
    DataCreationPlan,
    check_fits,
    created,
    grown_rounds,
)
from msp.methods.dexperts import open_experts_fit, with_experts
from msp.methods.direct import open_direct_fit, writes_nothing
from msp.methods.eda import open_eda
from msp.methods.engine_rewriters import (
    check_paraphrase,
    check_round_trip,
    open_paraphrase,
    open_round_trip,
)
from msp.methods.fill_in import check_fill_in, open_fill_in
from msp.methods.lm_writers import (
    in_context,
    mixed_in_words,
    mixed_softly,
    shots_planned,
    with_soft_prompts,
    with_text_alone,
)
from msp.methods.msp import MSPPlan
from msp.methods.promptmix import MixMaker, PromptMixPlan
from msp.methods.quota import QuotaPlan
from msp.methods.rounds import QuotaRounds, RoundPlan, Rounds, first_round
from msp.methods.thesaurus import database_hash
from msp.models.lm_folder import find_folder, folder_hash
from msp.prompts.question_text import with_lines
from msp.tasks.base import TaskData

__all__ = [
    "METHODS",
    "Fit",
    "Method",
    "Opening",
    "Plan",
    "RoundPlan",
    "Rounds",
    "Writer",
    "checkpoint_hash",
    "content_hashes",
    "find_method",
    "first_round",
    "learns_a_model",
    "make_plan",
    "open_rounds",
    "quota_targets",
    "tunes_prompts",
    "uses_lm",
]

# generate.method -> the method; a new one is a line here and in GenerateConfig.
METHODS: dict[str, Method] = {
    "msp": Method(with_soft_prompts, tunes_prompts=True, writes_questions=True),
    "hard_prompt": Method(with_text_alone, writes_questions=True),
    "softsrv": Method(with_soft_prompts, tunes_prompts=True, rewrites=True, writes_questions=True),
    "in_context": Method(in_context, planned=shots_planned, writes_questions=True),
    "eda": Method(open_eda, rewrites=True),
    "paraphrase": Method(
        open_paraphrase, rewrites=True, check=check_paraphrase, checkpoints=("helper_model",)
    ),
    "fill_in": Method(
        open_fill_in, rewrites=True, check=check_fill_in, checkpoints=("helper_model",)
    ),
    "round_trip": Method(
        open_round_trip,
        rewrites=True,
        check=check_round_trip,
        checkpoints=("helper_model", "helper_model_back"),
    ),
    "clm": Method(with_changed_weights, open_fit=open_clm_fit),
    "dexperts": Method(with_experts, open_fit=open_experts_fit),
    "cvae": Method(with_autoencoder, open_fit=open_cvae_fit),
    "fine_tune": Method(writes_nothing, open_fit=open_direct_fit, is_direct=True),
    "soft_prompt": Method(writes_nothing, open_fit=open_direct_fit, is_direct=True),
    "promptmix": Method(mixed_in_words),
    "promptmix_soft": Method(mixed_softly, tunes_prompts=True),
    "data_creation": Method(created, check=check_fits, writes_questions=True),
}


def find_method(config: RunConfig) -> Method:
    """Return the method that ``generate.method`` names."""
    return METHODS[config.generate.method]


def tunes_prompts(config: RunConfig) -> bool:
    """Tell whether the run tunes soft prompts: its method has some, and its engine an LM."""
    return find_method(config).tunes_prompts and config.generate.engine != "scripted"


def uses_lm(config: RunConfig) -> bool:
    """Tell whether the run writes with the frozen LM of ``model``, or asks it for labels."""
    writes = config.generate.method not in WITHOUT_LM
    return (writes or config.relabel != "none") and config.generate.engine != "scripted"


def checkpoint_hash(model: ModelConfig, setting: str) -> str:
    """Return the hash of a checkpoint's weights and tokenizer.

    Args:
        model: the checkpoint.
        setting: that names it, for messages.

    Raises:
        CheckpointError: it is not there, or is no checkpoint.
    """
    return folder_hash(find_folder(model, setting=setting), model.name)


def content_hashes(
    config: RunConfig, *, hash_of: Callable[[ModelConfig, str], str] = checkpoint_hash
) -> dict[str, str]:
    """Return setting -> hash of what the method writes with: its content defines the run.

    Args:
        config: the run's, paths absolute.
        hash_of: a checkpoint's.

    Raises:
        UserError: something is not there.
    """
    hashes = {}
    if uses_lm(config):
        hashes["model.name"] = hash_of(config.model, "model.name")
    if config.generate.thesaurus is not None:
        hashes["generate.thesaurus"] = database_hash(config.generate.thesaurus)
    for key in find_method(config).checkpoints if config.generate.engine != "scripted" else ():
        setting = f"generate.{key}"
        hashes[setting] = hash_of(ModelConfig(name=getattr(config.generate, key)), setting)
    return hashes


def quota_targets(config: RunConfig, task: TaskData) -> dict[Cell, int]:
    """Return the combinations that the run asks for; as :func:`msp.methods.quota.quota_targets`."""
    return quota.quota_targets(config, task, rewrites=find_method(config).rewrites)


def open_rounds(config: RunConfig, task: TaskData) -> Rounds:
    """Return what plans the rounds of a run that asks for a number.

    Raises:
        UserError: the config asks for what the task cannot give.
    """
    if config.generate.grows:
        return grown_rounds(config, task)
    return QuotaRounds(config, quota_targets(config, task))


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
    method = find_method(config)
    if task.questions is not None and not method.writes_questions:
        able = [name for name, one in METHODS.items() if one.writes_questions]
        raise ConfigError(
            f"generate.method is {config.generate.method}, but the examples of {config.task.name} "
            f"are questions with options, which it cannot write; set it to one of "
            f"{', '.join(able)}."
        )
    if config.generate.grows:
        plan = round_plan or grown_rounds(config, task).first()
        return DataCreationPlan(config, task, plan)
    task = with_lines(task)
    config, mixes = method.planned(config), config.generate.mixes
    if config.generate.num_synthetic is None:
        if mixes:
            return PromptMixPlan(config, task)
        return MSPPlan(config, task, rewrites=method.rewrites)
    maker = MixMaker(config, task) if mixes else None
    plan = round_plan or first_round(config, quota_targets(config, task))
    return QuotaPlan(config, task, plan, maker=maker, rewrites=method.rewrites)
