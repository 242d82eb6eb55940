"""Everything that can go wrong for a user, as one tree.

::

    MSPError                  the root; exit status 1 unless said otherwise
    ├── UserError             the input was wrong; exit status 2
    │   ├── ConfigError       the config file, a --set override, or the cluster it asks for
    │   ├── TaskDataError     a data or ontology file
    │   ├── ConstraintError   a generation asked for something impossible
    │   ├── CheckpointError   prompts or a model that do not fit, or are not there
    │   ├── HeldError         another run that is alive writes to the same output
    │   └── StoreAccessError  a bucket or path that is not there or refuses us (also a StorageError)
    ├── StorageError          the store failed while it was used: disk full, network, lease lost
    │   └── DamagedError      an object is not as it was written; it is set aside and made anew
    ├── GenerationError       an engine or an actor failed for good
    │   └── EngineDiedError   the engine's process is of no use any more; another one may be
    ├── DropRateError         denoise dropped nearly everything
    └── ComparisonError       some cells of a comparison failed; the others are done

A message says where, what was found, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MSPError(Exception):
    """Root of every error that this project raises on purpose."""

    exit_status = 1


class UserError(MSPError):
    """What the user gave cannot work; nothing was written."""

    exit_status = 2


class ConfigError(UserError):
    """The resolved config, or the cluster it meets, cannot work."""


class TaskDataError(UserError):
    """A task's data or ontology file breaks its format."""


class ConstraintError(UserError):
    """A generation was asked for attributes or values that cannot be had."""


class CheckpointError(UserError):
    """A model or prompts are missing, damaged or made for something else."""


class StorageError(MSPError):
    """The object store failed while it was in use."""


class StoreAccessError(StorageError, UserError):
    """The store cannot be used at all: no such bucket, no permission, no such folder."""

    exit_status = 2


class DamagedError(StorageError):
    """An object of the run is cut short or changed; what the same command makes anew."""


class HeldError(UserError):
    """Another run writes to the same output and is alive."""


class GenerationError(MSPError):
    """An engine failed in a way that a retry does not mend."""


class EngineDiedError(GenerationError):
    """An engine failed and took its state with it; an actor that meets this exits."""


class DropRateError(MSPError):
    """Denoise dropped nearly everything, so going on would waste the cluster."""


class ComparisonError(MSPError):
    """Some cells of a comparison failed; what the others came to is written."""


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed name, or an empty string."""
    near = difflib.get_close_matches(found, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
