"""How attribute prompts become one: a mixture is one file here and one line in the table."""

from __future__ import annotations

from msp.errors import ConfigError, did_you_mean
from msp.prompts.mixtures.attention import Attention
from msp.prompts.mixtures.base import MixedPrompt, Mixture, MixtureSizes, text_summary
from msp.prompts.mixtures.bottleneck import Bottleneck
from msp.prompts.mixtures.concat import Concat
from msp.prompts.mixtures.convolution import Convolution
from msp.prompts.mixtures.pooling import Pooling

__all__ = ["MIXTURES", "MixedPrompt", "Mixture", "MixtureSizes", "find_mixture", "text_summary"]

MIXTURES: dict[str, type[Mixture]] = {
    "attention": Attention,
    "bottleneck": Bottleneck,
    "concat": Concat,
    "convolution": Convolution,
    "pooling": Pooling,
}


def find_mixture(name: str) -> type[Mixture]:
    """Return the mixture of a name.

    Raises:
        ConfigError: no mixture has that name.
    """
    if name not in MIXTURES:
        known = ", ".join(MIXTURES)
        raise ConfigError(
            f"prompts.mixture is {name!r}; there are {known}{did_you_mean(name, MIXTURES)}."
        )
    return MIXTURES[name]
