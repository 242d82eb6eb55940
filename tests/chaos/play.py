"""One run under one schedule, started again after each end until it ends well."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults import Injector
from faulty_s3 import TIMEOUT_SECONDS, FaultyS3, faulty_s3
from outcomes import Outcome, Record, differences, manifest_faults, record_of
from schedule import NUM_SHARDS, Schedule
from servers import S3Server
from stage import Driver, Stage
from work_log import begun

from msp.storage import layout
from msp.storage.store import ObjectStore, open_store

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, novel_units_per_seed_example: 0, units_per_shard: 4}}
denoise: {{frequency_weight: 1.0, distance_weight: 0.0, disagreement_weight: 0.0}}
cluster: {{min_generators: 1, max_generators: 2, s3_timeout_seconds: {timeout}{endpoint}}}
"""
# The same faults over another method, with --chaos-method; DATA is a task of six classes.
PROMPTMIX = CONFIG.replace('path: "sample:front_desk"', "path: DATA, predict: label").replace(
    "novel_units_per_seed_example: 0", "method: promptmix, promptmix: {{texts_per_class: 150}}"
)
# Five rounds, each planned from what the one before accepted: 180 units again, whose number no
# accepted example changes.
GROWN = CONFIG.replace(
    'name: jsonl, path: "sample:front_desk"', "name: strategyqa, path: DATA"
).replace(
    "novel_units_per_seed_example: 0",
    "method: data_creation, num_synthetic: 10000, max_rounds: 5, num_candidates_per_unit: 2, "
    "max_new_tokens: 200, data_creation: {{strategy: random, num_chains: 36}}",
)
_LOOK_SECONDS = 0.05
_MAX_STARTS = 12
_MAX_SECONDS = 1200.0


@dataclass(frozen=True)
class Scene:
    """One run's place: as the run reaches it, and as the test looks at it, past the faults."""

    config: Path
    store: ObjectStore
    s3: FaultyS3 | None


def play(
    schedule: Schedule,
    *,
    stage: Stage,
    folder: Path,
    server: S3Server,
    unbroken: Record | None,
    config: str = CONFIG,
) -> tuple[Outcome, Record]:
    """Return what came of a run under a schedule, and what it left.

    Args:
        schedule: its faults, perhaps none.
        stage: the cluster; afterwards it stands again or is started by who asks next.
        folder: an empty one.
        server: the S3 server behind the faulty one.
        unbroken: what the run must leave; None compares it with itself.
        config: a template of the run's, as :data:`CONFIG`.

    Raises:
        AssertionError: the run does not end, or its S3 shows that something else is wrong.
    """
    started = time.monotonic()
    with scene_of(schedule, folder, server, config) as scene:
        run = _Play(schedule, stage, scene)
        run.to_the_end()
        record = record_of(scene.store)
    lost, changed = differences(record, unbroken or record)
    outcome = Outcome(
        schedule,
        run.injected,
        num_starts=run.num_starts,
        num_lost=lost,
        num_doubled=record.num_doubled,
        num_changed=changed,
        num_begun=begun(scene.store.uri).total(),
        num_shards=NUM_SHARDS,
        faults_of_manifest=run.faults_of_manifest,
        seconds=time.monotonic() - started,
    )
    return outcome, record


class _Play:
    """A run under way."""

    def __init__(self, schedule: Schedule, stage: Stage, scene: Scene) -> None:
        self._schedule, self._stage, self._scene = schedule, stage, scene
        self._pending = list(schedule.faults)
        self._injector = Injector(stage, scene.s3, random.Random(schedule.seed))
        self._saw_manifest = False
        self.injected: Counter[str] = Counter()
        self.num_starts = 0
        self.faults_of_manifest: list[str] = []

    def to_the_end(self) -> None:
        """Return once the command has ended well."""
        deadline = time.monotonic() + _MAX_SECONDS
        driver = self._start()
        while True:
            time.sleep(_LOOK_SECONDS)
            assert time.monotonic() < deadline, f"{self._name()} does not end"
            self._look(driver)
            if driver.status == 0:
                break
            if driver.status is not None:
                said = driver.said()
                assert self.num_starts < _MAX_STARTS, f"{self._name()} does not end:\n{said}"
                assert driver.status < 0 or self._is_plain(said), f"{self._name()}:\n{said}"
                self._injector.heal(driver)
                driver = self._start()
        self.faults_of_manifest += manifest_faults(self._scene.store, NUM_SHARDS)
        assert self._scene.store.exists(layout.MANIFEST)
        assert not self._scene.store.exists(layout.HOLDER_JSON)

    def _start(self) -> Driver:
        self.num_starts += 1
        return Driver(self._scene.config, self._stage.address)

    def _look(self, driver: Driver) -> None:
        done = num_committed(self._scene.store)
        for fault in [fault for fault in self._pending if fault.moment <= done]:
            # A victim that is not there may be starting just now; the others do not wait for it.
            if driver.status is None and self._injector.inject(fault, driver):
                self._pending.remove(fault)
                self.injected[fault.kind] += 1
        if not self._saw_manifest and self._scene.store.exists(layout.MANIFEST):
            self._saw_manifest = True
            self.faults_of_manifest += manifest_faults(self._scene.store, NUM_SHARDS)

    def _is_plain(self, said: str) -> bool:
        """Whether a command that failed said why in its own words, and no more."""
        # Logging, Ray's too, complains of the full disk on its own account.
        traced = "Traceback" in said and not self.injected["disk full"]
        return "\nmsp: " in f"\n{said}" and not traced

    def _name(self) -> str:
        return f"seed {self._schedule.seed}"


def num_committed(store: ObjectStore) -> int:
    """Return how many candidates and synthetic objects there are."""
    prefixes = (layout.CANDIDATES_PREFIX, layout.SYNTHETIC_PREFIX)
    keys = (info.key for prefix in prefixes for info in store.list(prefix))
    return sum(key.endswith(".parquet") for key in keys)


@contextmanager
def scene_of(
    schedule: Schedule, folder: Path, server: S3Server, template: str = CONFIG
) -> Iterator[Scene]:
    """Yield an empty place for a run, with the config file that names it."""
    config = folder / "run.yaml"
    if schedule.place == "folder":
        output = str(folder / "out")
        config.write_text(template.format(output=output, timeout=TIMEOUT_SECONDS, endpoint=""))
        yield Scene(config, open_store(output), None)
        return
    output = f"s3://{server.new_bucket()}/runs/7"
    with faulty_s3(server.endpoint_url) as s3:
        endpoint = f', s3_endpoint_url: "{s3.url}"'
        config.write_text(
            template.format(output=output, timeout=TIMEOUT_SECONDS, endpoint=endpoint)
        )
        yield Scene(config, open_store(output, endpoint_url=server.endpoint_url), s3)
