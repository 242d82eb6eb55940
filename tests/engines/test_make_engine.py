"""Engines by name."""

from __future__ import annotations

from typing import get_args

import pytest

from msp.config import GenerateConfig
from msp.engines import ENGINES, make_engine
from msp.engines.hf import HFEngine
from msp.engines.scripted import ScriptedEngine
from msp.errors import ConfigError


def test_every_engine_of_the_config_can_be_made(tiny_llama):
    assert set(get_args(GenerateConfig.model_fields["engine"].annotation)) == set(ENGINES)
    assert isinstance(make_engine("hf", tiny_llama), HFEngine)
    assert isinstance(make_engine("scripted", None), ScriptedEngine)


def test_an_unknown_engine_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"'script'; there is: hf, vllm, scripted; did you mean"):
        make_engine("script", None)


def test_an_engine_that_needs_an_lm_says_so():
    with pytest.raises(ConfigError, match="'hf', which needs a frozen LM"):
        make_engine("hf", None)


def test_vllm_loads_the_lm_itself_and_needs_the_config_for_it():
    with pytest.raises(ConfigError, match="'vllm', which needs the run's config"):
        make_engine("vllm", None)
