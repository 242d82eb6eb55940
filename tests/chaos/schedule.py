"""Which faults hit a run, and when: a function of one seed, so that a failure replays."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Place = Literal["folder", "s3"]

# The run that is hit commits so many candidates objects and so many synthetic ones.
NUM_SHARDS = 45
NUM_OBJECTS = 2 * NUM_SHARDS

PROCESS_KINDS = ("kill actor", "kill scorer", "kill node", "kill driver", "kill head")
S3_KINDS = ("s3 500", "s3 503", "s3 time-out", "s3 cut", "s3 lost answer", "s3 slow read")
DISK_KINDS = ("disk full",)
KINDS = (*PROCESS_KINDS, *S3_KINDS, *DISK_KINDS)

# Requests in a row that a faulty S3 spoils; a client tries each request three times here, so
# the larger bursts end the command, and the smaller ones do not.
_BURSTS = (1, 2, 4, 8)


@dataclass(frozen=True, order=True)
class Fault:
    """One fault.

    Args:
        moment: it comes when so many objects are committed.
        kind: one of ``KINDS``.
        burst: requests that it spoils, where it is one of S3.
    """

    moment: int
    kind: str
    burst: int = 0


@dataclass(frozen=True)
class Schedule:
    """What happens to one run: where it writes, and its faults in their order."""

    seed: int
    place: Place
    faults: tuple[Fault, ...]


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed: two kills, and two faults of S3 or a disk that fills.

    Any five seeds in a row have every kind of kill; seeds 0 to 4 have every kind of fault.
    """
    rng = random.Random(seed)
    place: Place = "s3" if seed % 5 else "folder"
    kinds = [PROCESS_KINDS[seed % 5], rng.choice(PROCESS_KINDS)]
    if place == "s3":
        kinds += [S3_KINDS[(2 * seed + k) % len(S3_KINDS)] for k in range(2)]
    else:
        kinds += DISK_KINDS
    faults = [
        Fault(rng.randrange(1, _last(kind)), kind, rng.choice(_BURSTS) * kind.startswith("s3"))
        for kind in kinds
    ]
    return Schedule(seed, place, tuple(sorted(faults)))


def _last(kind: str) -> int:
    """Return where moments end: generators and scorers are gone once all shards are there."""
    return NUM_SHARDS if kind in ("kill actor", "kill scorer") else NUM_OBJECTS
