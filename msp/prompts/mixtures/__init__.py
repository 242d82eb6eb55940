"""How attribute prompts become one: a mixture is one file here and one line in the table."""

from __future__ import annotations

from msp.errors import ConfigError, did_you_mean
from msp.prompts.mixtures.base import MixedPrompt, Mixture
from msp.prompts.mixtures.concat import Concat
from msp.prompts.mixtures.pooling import Pooling

__all__ = ["MIXTURES", "MixedPrompt", "Mixture", "make_mixture"]

MIXTURES: dict[str, type[Mixture]] = {
    "concat": Concat,
    "pooling": Pooling,
}


def make_mixture(name: str) -> Mixture:
    """Return the mixture of a name.

    Raises:
        ConfigError: no mixture has that name.
    """
    if name not in MIXTURES:
        known = ", ".join(MIXTURES)
        raise ConfigError(
            f"prompts.mixture is {name!r}; there are {known}{did_you_mean(name, MIXTURES)}."
        )
    return MIXTURES[name]()
