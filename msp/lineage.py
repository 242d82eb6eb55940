"""Runs that go on from runs: what a run has of those before it (``parent`` in its config).

A line of runs shares its prompts, never keeps a text twice, and its students learn
from all that it has kept. Each run's manifest names its parent's by hash, so the
whole line is told from another one by its last manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from msp.config import RunConfig
from msp.denoise.rules import normalise
from msp.errors import ConfigError
from msp.records import Example, example_from_synthetic
from msp.storage import layout
from msp.storage.manifest import read_manifest
from msp.storage.parquet import read_table
from msp.storage.run_record import read_run
from msp.storage.store import ObjectStore, open_run_store
from msp.tasks.base import TaskData

# Written in this order: the json says that the tensors are there.
_LEARNED = (
    (layout.PROMPTS_TENSORS, layout.PROMPTS_JSON),
    (layout.FIT_TENSORS, layout.FIT_JSON),
)
# What learned prompts depend on, as it stands in a fingerprint.
_LEARNED_FROM = ("model.", "prompts.", "tune.", "task.path", "task.ontology", "task.domain", "seed")


def read_synthetic(store: ObjectStore, keys: Iterable[str]) -> Iterator[Example]:
    """Yield the kept examples of ``synthetic/`` objects, one object in memory at a time."""
    for key in keys:
        for row in read_table(store, key).to_pylist():
            yield example_from_synthetic(row)


def ancestors(config: RunConfig) -> list[ObjectStore]:
    """Return the stores of the runs before this one, the first of the line first.

    Raises:
        ConfigError: one of them is not there or not finished, or the line is a ring.
        StorageError: a store failed, or what it holds is damaged.
    """
    found: list[ObjectStore] = []
    uri = config.parent
    while uri:
        store = open_run_store(config.model_copy(update={"output_uri": uri}))
        if any(store.uri == other.uri for other in found):
            raise ConfigError(f"parent leads back to {uri}, so the line of runs has no first one.")
        if not (store.exists(layout.RUN_JSON) and store.exists(layout.MANIFEST)):
            raise ConfigError(
                f"parent is {uri}, but no finished data set is there (it has no "
                f"{layout.MANIFEST}); generate that run first, or name another one."
            )
        found.append(store)
        uri = read_run(store)["config"].get("parent")
    return found[::-1]


def with_kept_before(config: RunConfig, task: TaskData) -> TaskData:
    """Return the task with the texts that the line before this run has kept."""
    if config.parent is None:
        return task
    return replace(task, kept_before=tuple(e.text for e in kept_before(config, task)))


def kept_before(config: RunConfig, task: TaskData) -> Iterator[Example]:
    """Yield the synthetic examples of the line before this run that count, the oldest first."""
    for store in ancestors(config):
        keys = [entry.key for entry in read_manifest(store).files]
        yield from still_wanted(read_synthetic(store, keys), task)


def still_wanted(examples: Iterable[Example], task: TaskData) -> Iterator[Example]:
    """Yield the synthetic examples that students learn from.

    Those go whose text people have rejected since, or that stand among the seed examples now.
    """
    texts = (*task.rejected, *(seed.text for seed in task.seeds))
    gone = frozenset(map(normalise, texts))
    return (example for example in examples if normalise(example.text) not in gone)


def parent_record(config: RunConfig) -> dict[str, str] | None:
    """Return what a manifest says of the parent: where it was, and the hash of its manifest."""
    if config.parent is None:
        return None
    store = ancestors(config)[-1]
    digest = hashlib.sha256(store.read(layout.MANIFEST)).hexdigest()
    return {"output_uri": store.uri, "manifest_sha256": digest}


def inherit_learned(config: RunConfig, store: ObjectStore, identity: dict[str, str]) -> None:
    """Make the run's store hold what its parent has learned, prompts or a method's own model.

    Args:
        config: the run's; nothing happens where it has no parent.
        store: of the run.
        identity: its fingerprint.

    Raises:
        ConfigError: the parent learned with other settings; names the keys that differ.
    """
    if config.parent is None:
        return
    parent = ancestors(config)[-1]
    there = read_run(parent)["fingerprint"]
    differing = sorted(
        key
        for key in {*there, *identity}
        if key.startswith(_LEARNED_FROM) and there.get(key) != identity.get(key)
    )
    if differing:
        raise ConfigError(
            f"parent is {config.parent}, whose prompts were learned with other settings "
            f"({', '.join(differing)}); use the same ones, or a run without a parent."
        )
    for tensors, mark in _LEARNED:
        if parent.exists(mark) and not store.exists(mark):
            store.write(tensors, parent.read(tensors))
            store.write(mark, parent.read(mark))
