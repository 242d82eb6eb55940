"""What a run left, compared with the unbroken run, and the table of many schedules."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from schedule import KINDS, Schedule

from msp.storage import layout
from msp.storage.manifest import verify_manifest
from msp.storage.parquet import read_table
from msp.storage.store import ObjectStore


@dataclass(frozen=True)
class Record:
    """What is in a store: every unit that is committed and every candidate that is published.

    Args:
        units: unit -> a hash of its row: its candidates' ids, texts and verdicts.
        published: candidate -> a hash of its row.
        num_doubled: ids that are there more than once.
    """

    units: dict[int, str]
    published: dict[int, str]
    num_doubled: int


@dataclass(frozen=True)
class Outcome:
    """What came of one schedule.

    Args:
        schedule: what was to happen.
        injected: kind -> how often it did.
        num_starts: of the command, until it ended well.
        num_lost: units and published candidates of the unbroken run that are missing.
        num_doubled: ids that are there twice.
        num_changed: ids with other texts or verdicts, or that the unbroken run has not.
        num_units_begun: shards that a generator began, in units of one shard.
        num_shards: that the run has.
        faults_of_manifest: what was wrong with it while it was there.
        seconds: wall time.
        method: what made the candidates.
    """

    schedule: Schedule
    injected: Counter[str]
    num_starts: int
    num_lost: int
    num_doubled: int
    num_changed: int
    num_begun: int
    num_shards: int
    faults_of_manifest: list[str] = field(default_factory=list)
    seconds: float = 0.0
    method: str = "msp"

    @property
    def made_again(self) -> float:
        """Return the share of the shards that were generated more than once, each time counted."""
        return (self.num_begun - self.num_shards) / self.num_shards

    @property
    def is_whole(self) -> bool:
        """Whether the run is as if nothing had happened."""
        broken = self.num_lost or self.num_doubled or self.num_changed or self.faults_of_manifest
        return not broken


def record_of(store: ObjectStore) -> Record:
    """Return what a store holds; every object's checksum is looked at on the way."""
    units: list[tuple[int, str]] = []
    published: list[tuple[int, str]] = []
    for prefix, rows, name in (
        (layout.CANDIDATES_PREFIX, units, "id"),
        (layout.SYNTHETIC_PREFIX, published, "candidate_id"),
    ):
        for info in store.list(prefix):
            if info.key.endswith(".parquet"):
                found = read_table(store, info.key).to_pylist()
                rows += [(row[name], _hash(row)) for row in found]
    doubled = sum(n - 1 for ids in (units, published) for n in Counter(i for i, _ in ids).values())
    return Record(dict(units), dict(published), doubled)


def differences(found: Record, unbroken: Record) -> tuple[int, int]:
    """Return how many ids are lost, and how many are others than in the unbroken run."""
    lost = changed = 0
    for here, there in ((found.units, unbroken.units), (found.published, unbroken.published)):
        lost += len(there.keys() - here.keys())
        changed += sum(there.get(id) != row for id, row in here.items())
    return lost, changed


def manifest_faults(store: ObjectStore, num_shards: int) -> list[str]:
    """Return what is wrong with the manifest, if there is one; it must be the last of all."""
    if not store.exists(layout.MANIFEST):
        return []
    num = sum(1 for _ in store.list(layout.CANDIDATES_PREFIX))
    faults = [f"manifest with {num} of {num_shards} shards"] if num < num_shards else []
    verify_manifest(store)
    return faults


def markdown(outcomes: Iterable[Outcome]) -> str:
    """Return a table with a line for each kind of fault, and the sums over all schedules."""
    found = list(outcomes)
    seeds: dict[str, list[int]] = {}
    for outcome in found:
        seeds.setdefault(outcome.method, []).append(outcome.schedule.seed)
    played = "; ".join(f"{method}: {_ranges(those)}" for method, those in seeds.items())
    injected = sum((o.injected for o in found), Counter())
    begun, shards = sum(o.num_begun for o in found), sum(o.num_shards for o in found)
    most = max((o.made_again for o in found), default=0.0)
    lines = ["| fault | injected |", "|---|---|"]
    lines += [f"| {kind} | {injected[kind]} |" for kind in KINDS]
    lines += [f"| all | {injected.total()} |", "", "| over all schedules | |", "|---|---|"]
    lines += [
        f"| schedules | {len(found)} (seeds of {played}) |",
        f"| starts of the command | {sum(o.num_starts for o in found)} |",
        f"| ids lost | {sum(o.num_lost for o in found)} |",
        f"| ids doubled | {sum(o.num_doubled for o in found)} |",
        f"| ids changed | {sum(o.num_changed for o in found)} |",
        f"| manifests that came too early | {sum(len(o.faults_of_manifest) for o in found)} |",
        f"| units made again | {(begun - shards) / max(shards, 1):.1%} (at most {most:.1%}) |",
        f"| wall time | {sum(o.seconds for o in found):.0f} s |",
    ]
    return "\n".join(lines) + "\n"


def _ranges(seeds: Iterable[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) > 1 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(map(str, ordered))


def _hash(row: dict[str, object]) -> str:
    return hashlib.sha256(repr(row).encode()).hexdigest()


# What the schedules of one pytest session came to.
OUTCOMES = pytest.StashKey[list[Outcome]]()
