"""Engines write texts from prompts; which one does is the config's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msp.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from msp.config import RunConfig
    from msp.engines.base import Engine
    from msp.models.frozen_lm import FrozenLM
    from msp.models.lm_files import LMFiles


def _hf(lm: FrozenLM | None, config: RunConfig | None) -> Engine:
    from msp.engines.hf import HFEngine

    if lm is None:
        raise ConfigError("generate.engine is 'hf', which needs a frozen LM; set model.name.")
    return HFEngine(lm)


def _vllm(lm: FrozenLM | None, config: RunConfig | None) -> Engine:
    from msp.engines.vllm import VLLMEngine

    if config is None:
        raise ConfigError("generate.engine is 'vllm', which needs the run's config.")
    return VLLMEngine(config)


def _scripted(lm: FrozenLM | None, config: RunConfig | None) -> Engine:
    from msp.engines.scripted import ScriptedEngine

    return ScriptedEngine()


ENGINES: dict[str, Callable[[FrozenLM | None, RunConfig | None], Engine]] = {
    "hf": _hf,
    "vllm": _vllm,
    "scripted": _scripted,
}


def make_engine(name: str, lm: FrozenLM | None, *, config: RunConfig | None = None) -> Engine:
    """Return the engine of that name; its libraries are imported now and not before.

    Args:
        name: ``generate.engine`` of the config.
        lm: the frozen LM, which engine ``hf`` needs.
        config: the run's, from which engine ``vllm`` loads the LM itself.

    Raises:
        ConfigError: there is no such engine, or it has not what it needs.
    """
    try:
        factory = ENGINES[name]
    except KeyError:
        raise ConfigError(
            f"generate.engine is {name!r}; there is: {', '.join(ENGINES)}"
            f"{did_you_mean(name, ENGINES)}"
        ) from None
    return factory(lm, config)


def check_engine(config: RunConfig, files: LMFiles) -> None:
    """Pass where the engine of ``generate`` takes the LM.

    Raises:
        ConfigError: it does not, or is not installed on this machine.
    """
    if config.generate.engine == "vllm":
        from msp.engines.vllm_settings import check_vllm

        check_vllm(files)
