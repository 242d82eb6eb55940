"""Objects that are not as they were written: found, named, set aside, and made again.

Nothing damaged is deleted, since whose fault it was is not known. What was made
anew takes its place by the rule by which all of a run is made: what is not there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from safetensors import SafetensorError, deserialize

from msp.errors import DamagedError, StorageError
from msp.progress import console
from msp.storage import layout
from msp.storage.manifest import verify_manifest
from msp.storage.seal import check_seal, damaged
from msp.storage.store import ObjectStore

Result = TypeVar("Result")

# Objects in memory at once.
_NUM_THREADS = 8
# Damage that comes back as often as this is the disk's, and no making again helps.
_MAX_MENDS = 3
# run.json says which run this is and cannot be made again; a lease is looked after by its holder;
# students are judged by their own stage; what a person decided is named by who reads it.
_NOT_OURS = (
    layout.RUN_JSON,
    layout.HOLDER_JSON,
    layout.DAMAGED_PREFIX,
    layout.STUDENT_PREFIX,
    layout.REVIEW_PREFIX,
)
_DUPLICATES = re.compile(r"(duplicates/round-\d+)-.*\.parquet")


def read_json(store: ObjectStore, key: str) -> Any:
    """Return a JSON object's value.

    Raises:
        DamagedError: it is not JSON.
        StorageError: it is not there, or the store failed.
    """
    try:
        return json.loads(store.read(key))
    except ValueError as error:
        raise damaged(f"{store.uri}/{key}", str(error)) from error


def mending(store: ObjectStore, work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns, having made again what it found damaged.

    Args:
        store: the run's.
        work: continues a run: makes what is not there and reads what is.

    Raises:
        DamagedError: what is damaged cannot be made again, or is damaged again and again.
    """
    for _ in range(_MAX_MENDS):
        try:
            return work()
        except DamagedError:
            if not set_aside_damaged(store):
                raise
    return work()


def set_aside_damaged(store: ObjectStore) -> list[str]:
    """Return the keys that were damaged, now moved to ``state/damaged/``, each with a warning.

    Whatever says that a moved object is there (the manifest, ``prompts.json``)
    goes with it, so that the next start makes both. Every object is read.
    """
    found = [key for key, what in _faults(store) if _named(store, key, what)]
    marks = {mark for key in found for mark in _marks(key)}
    if _manifest_fault(store):
        marks.add(layout.MANIFEST)
    # Marks first: a kill in between must not leave a mark of what is gone.
    for key in [*sorted(marks), *found]:
        _move(store, key)
    return sorted({*found, *marks})


def _faults(store: ObjectStore) -> Iterator[tuple[str, str]]:
    keys = (info.key for info in store.list() if not info.key.startswith(_NOT_OURS))
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        while window := list(islice(keys, _NUM_THREADS)):
            for key, what in zip(window, pool.map(lambda k: _fault(store, k), window), strict=True):
                if what:
                    yield key, what


def _fault(store: ObjectStore, key: str) -> str:
    """Return what is wrong with an object, or an empty string."""
    data = store.read(key)
    try:
        if key.endswith(".parquet") or key == layout.SUMMARY_JSON:
            check_seal(data, key)
        elif key.endswith(".json"):
            json.loads(data)
        elif key == layout.PROMPTS_TENSORS:
            return _prompts_fault(store, data)
        elif key.endswith(".safetensors"):
            check_seal(data, key)
            deserialize(data)  # type: ignore[no-untyped-call]
    except (DamagedError, ValueError, SafetensorError) as error:
        return str(error)
    return ""


def check_prompts(store: ObjectStore) -> None:
    """Pass where finished prompts are those that prompts.json speaks of.

    Raises:
        DamagedError: one of the two objects is not.
    """
    read_json(store, layout.PROMPTS_JSON)
    fault = _prompts_fault(store, store.read(layout.PROMPTS_TENSORS))
    if fault:
        raise damaged(f"{store.uri}/{layout.PROMPTS_TENSORS}", fault)


def _prompts_fault(store: ObjectStore, tensors: bytes) -> str:
    with suppress(ValueError, StorageError):  # a damaged prompts.json is named by itself
        told = json.loads(store.read(layout.PROMPTS_JSON)).get("sha256")
        if told and told != hashlib.sha256(tensors).hexdigest():
            return f"its sha256 is not the one in {layout.PROMPTS_JSON}"
    return ""


def _manifest_fault(store: ObjectStore) -> bool:
    if not store.exists(layout.MANIFEST):
        return False
    try:
        verify_manifest(store)
    except DamagedError as error:
        return _named(store, layout.MANIFEST, str(error))
    return False


def _marks(key: str) -> list[str]:
    """Return the objects that say that this one is there."""
    if key.startswith(layout.SYNTHETIC_PREFIX):
        return [layout.MANIFEST]
    if key == layout.PROMPTS_TENSORS:
        return [layout.PROMPTS_JSON]
    if key == layout.FIT_TENSORS:
        return [layout.FIT_JSON]
    found = _DUPLICATES.fullmatch(key)
    return [f"{found[1]}.json"] if found else []


def _named(store: ObjectStore, key: str, what: str) -> bool:
    console().print(
        f"warning: {store.uri}/{key} is damaged ({what}); it is set aside under "
        f"{layout.DAMAGED_PREFIX} and made again",
        style="yellow",
        markup=False,
    )
    return True


def _move(store: ObjectStore, key: str) -> None:
    if not store.exists(key):
        return
    data = store.read(key)
    store.write_once(layout.damaged_key(key, hashlib.sha256(data).hexdigest()), data)
    store.delete(key)
