"""``run.json``: what a run is, written once, and why another config may not continue it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msp.errors import ConfigError, StorageError
from msp.storage.layout import RUN_JSON
from msp.storage.store import ObjectStore

_MAX_NAMED = 8
_MAX_SHOWN = 60
_ABSENT = object()

_SECRET_KEY = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|credentials?|(?:api|access)_key)$"
)
_URI_USER = re.compile(r"(\w[\w+.-]*://)[^/\s@]*@")
_URI_QUERY = re.compile(r"(\w[\w+.-]*://[^\s?#]*)\?[^\s#]*")
_REDACTED = "[redacted]"


def open_run(
    store: ObjectStore,
    *,
    config: Mapping[str, Any],
    fingerprint: Mapping[str, str],
    versions: Mapping[str, str],
) -> bool:
    """Make the run, or find that it is the same one; return True where it is resumed.

    Args:
        store: the run's store.
        config: the resolved config as JSON values; secrets are redacted before it is written.
        fingerprint: dotted config key (or content name) -> hash of what defines the run.
        versions: package -> version, for the record; other versions may resume.

    Raises:
        ConfigError: another config made what is there; names the keys that differ.
        StorageError: ``run.json`` is damaged, or the store failed.
    """
    record = {
        "config": redacted(config),
        "fingerprint": dict(fingerprint),
        "versions": dict(versions),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if store.write_once(RUN_JSON, text.encode()):
        return False
    there = read_run(store)
    differing = sorted(
        key
        for key in {*there["fingerprint"], *fingerprint}
        if there["fingerprint"].get(key) != fingerprint.get(key)
    )
    if differing:
        raise ConfigError(_refusal(store.uri, there, record, differing))
    return True


def read_run(store: ObjectStore) -> dict[str, Any]:
    """Return what ``run.json`` holds: config, fingerprint, versions, created.

    Raises:
        StorageError: it is not there or damaged.
    """
    text = store.read(RUN_JSON)
    try:
        record = json.loads(text)
    except ValueError as error:
        raise StorageError(_damaged(store, str(error))) from error
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), dict) for key in ("config", "fingerprint")
    ):
        raise StorageError(_damaged(store, "it has no config and fingerprint"))
    return record


def redacted(config: Any) -> Any:
    """Return a copy of a tree of JSON values without what looks secret.

    That is the user part and the query of every URI, and the values of keys
    that end in password, secret, token, credentials, api_key or access_key.
    """
    if isinstance(config, Mapping):
        return {
            key: _REDACTED if value and _SECRET_KEY.search(str(key).lower()) else redacted(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return [redacted(value) for value in config]
    if isinstance(config, str):
        return _URI_QUERY.sub(rf"\1?{_REDACTED}", _URI_USER.sub(rf"\1{_REDACTED}@", config))
    return config


def _refusal(
    uri: str, there: Mapping[str, Any], here: Mapping[str, Any], differing: list[str]
) -> str:
    named = ", ".join(_difference(key, there, here) for key in differing[:_MAX_NAMED])
    further = len(differing) - _MAX_NAMED
    more = f" and {further} more" if further > 0 else ""
    return (
        f"{uri} was made with other settings: {named}{more}. Use another output_uri or the same "
        "config."
    )


def _difference(key: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    values = [_value(record["config"], key) for record in (there, here)]
    if values[0] == values[1]:  # what the name stands for is another: a file's content, say
        hashes = [record["fingerprint"].get(key, "none") for record in (there, here)]
        shown = "" if values[0] is _ABSENT else f"{_shown(values[0])}, "
        return f"{key} ({shown}content {hashes[0][:12]} there, {hashes[1][:12]} here)"
    return f"{key} ({_shown(values[0])} there, {_shown(values[1])} here)"


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return _ABSENT
        config = config[part]
    return config


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _damaged(store: ObjectStore, what: str) -> str:
    return (
        f"{store.uri}/{RUN_JSON}: is damaged ({what}); it says which run this is, so restore it, "
        "or use another output_uri."
    )
