"""Engines write texts from prompts; which one does is the config's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msp.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from msp.engines.base import Engine
    from msp.models.frozen_lm import FrozenLM


def _hf(lm: FrozenLM | None) -> Engine:
    from msp.engines.hf import HFEngine

    if lm is None:
        raise ConfigError("generate.engine is 'hf', which needs a frozen LM; set model.name.")
    return HFEngine(lm)


def _scripted(lm: FrozenLM | None) -> Engine:
    from msp.engines.scripted import ScriptedEngine

    return ScriptedEngine()


ENGINES: dict[str, Callable[[FrozenLM | None], Engine]] = {"hf": _hf, "scripted": _scripted}


def make_engine(name: str, lm: FrozenLM | None) -> Engine:
    """Return the engine of that name; its libraries are imported now and not before.

    Args:
        name: ``generate.engine`` of the config.
        lm: the frozen LM, which all but the scripted engine need.

    Raises:
        ConfigError: there is no such engine, or it needs a frozen LM and has none.
    """
    try:
        factory = ENGINES[name]
    except KeyError:
        raise ConfigError(
            f"generate.engine is {name!r}; there is: {', '.join(ENGINES)}"
            f"{did_you_mean(name, ENGINES)}"
        ) from None
    return factory(lm)
