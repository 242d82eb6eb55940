"""A run is the same run or none, and its record holds no secret."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from msp.config import RunConfig, fingerprint
from msp.errors import ConfigError, StorageError
from msp.storage.layout import RUN_JSON
from msp.storage.run_record import open_run, read_run, redacted
from msp.storage.store import ObjectStore

VERSIONS = {"msp": "0.1.0"}


def config(**generate: object) -> RunConfig:
    task = {"name": "jsonl", "path": "seeds.jsonl"}
    return RunConfig.model_validate({"output_uri": "out", "task": task, "generate": generate})


def opened(store: ObjectStore, config: RunConfig, **content: str) -> bool:
    return open_run(
        store,
        config=config.model_dump(mode="json"),
        fingerprint=fingerprint(config, content=content),
        versions=VERSIONS,
    )


def test_the_same_config_resumes_and_the_record_stays(store: ObjectStore) -> None:
    assert opened(store, config()) is False
    first = store.read(RUN_JSON)
    assert opened(store, config()) is True
    assert store.read(RUN_JSON) == first
    record = read_run(store)
    assert set(record) == {"config", "fingerprint", "versions", "created"}
    assert record["config"] == config().model_dump(mode="json")
    assert record["versions"] == VERSIONS


def test_another_config_is_refused_with_both_values(local_store: ObjectStore) -> None:
    opened(local_store, config())
    with pytest.raises(ConfigError) as caught:
        opened(local_store, config(temperature=1.2))
    assert str(caught.value) == (
        f"{local_store.uri} was made with other settings: generate.temperature (0.6 there, 1.2 "
        "here). Use another output_uri or the same config."
    )


def test_other_content_behind_the_same_name_is_refused(local_store: ObjectStore) -> None:
    opened(local_store, config(), **{"task.path": "0011223344556677", "weights": "aa"})
    with pytest.raises(ConfigError, match="was made with other settings") as caught:
        opened(local_store, config(), **{"task.path": "8899aabbccddeeff", "weights": "bb"})
    assert (
        'task.path ("seeds.jsonl", content 001122334455 there, 8899aabbccdd here), '
        "weights (content aa there, bb here)"
    ) in str(caught.value)


def test_a_setting_that_one_side_does_not_know_differs(local_store: ObjectStore) -> None:
    open_run(local_store, config={"a": 1}, fingerprint={"a": "x"}, versions={})
    with pytest.raises(ConfigError, match=r"b\.c \(not set there, 2 here\)"):
        open_run(
            local_store,
            config={"a": 1, "b": {"c": 2}},
            fingerprint={"a": "x", "b.c": "y"},
            versions={},
        )


def test_many_differences_are_cut_short(local_store: ObjectStore) -> None:
    names = [f"key{number:02d}" for number in range(20)]
    for start in (0, 1):
        values = {name: f"{start}" + "long" * 100 for name in names}
        if start == 0:
            open_run(local_store, config=values, fingerprint=values, versions={})
            continue
        with pytest.raises(ConfigError, match=r"key07 .* and 12 more") as caught:
            open_run(local_store, config=values, fingerprint=values, versions={})
        assert len(str(caught.value)) < 2000


def test_of_many_starters_one_makes_the_run(strict_store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        resumed = list(pool.map(lambda _: opened(strict_store, config()), range(8)))
    assert sorted(resumed) == [False] + [True] * 7


def test_a_damaged_record_is_named_and_never_replaced(local_store: ObjectStore) -> None:
    for damaged in (b"", b'{"config": {}', b"[]", b'{"config": {}}', b"\xff\xfe"):
        local_store.write(RUN_JSON, damaged)
        with pytest.raises(StorageError, match=r"run\.json: is damaged"):
            opened(local_store, config())
        assert local_store.read(RUN_JSON) == damaged


def test_nothing_secret_is_written(local_store: ObjectStore) -> None:
    secrets = {
        "output_uri": "s3://key:hidden@bucket/x",
        "cluster": {"address": "http://me@host:1/path?token=hidden&x=1#top", "api_key": "hidden"},
        "list": [{"db_password": "hidden"}, "see https://h/x?sig=hidden for more"],
    }
    open_run(local_store, config=secrets, fingerprint={}, versions={})
    assert b"hidden" not in local_store.read(RUN_JSON)
    assert redacted(secrets)["cluster"]["address"] == (
        "http://[redacted]@host:1/path?[redacted]#top"
    )
    harmless = {"max_new_tokens": 64, "path": "what?.jsonl", "none_token": None, "a": "b@c"}
    assert redacted(harmless) == harmless
    assert json.loads(local_store.read(RUN_JSON))["config"]["list"][1].endswith(" for more")
