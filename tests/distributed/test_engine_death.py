"""A generator whose engine died ends its process, and Ray starts another in its place."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import ray
from ray import cloudpickle

from msp.config import RunConfig
from msp.distributed import placement
from msp.distributed.generate import _Generator
from msp.distributed.shard_source import data_context, read_shards
from msp.errors import EngineDiedError
from msp.methods import RoundPlan, make_plan
from msp.methods.base import num_shards
from msp.tasks import load_task

pytestmark = pytest.mark.ray
# Ray's workers cannot import this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class DyingWriter:
    """Writes what the real writer writes, but for the third call of the first process."""

    def __init__(self, writer: object, folder: Path) -> None:
        self._writer, self._folder, self._num_calls = writer, folder, 0
        (folder / str(os.getpid())).touch()

    def write(self, units: object) -> object:
        self._num_calls += 1
        if self._num_calls == 3 and len(list(self._folder.iterdir())) == 1:
            raise EngineDiedError("vLLM failed")
        return self._writer.write(units)

    def take_counts(self) -> object:
        return self._writer.take_counts()


class DyingGenerator(_Generator):
    def __init__(self, config: RunConfig, task: object, round_plan: RoundPlan, folder: Path):
        super().__init__(config, task, round_plan)
        self._writer = DyingWriter(self._writer, folder)

    def __call__(self, table: pa.Table) -> pa.Table:
        return super().__call__(table)


def test_every_shard_is_made_once_by_the_generator_and_the_one_that_follows_it(tmp_path):
    config = RunConfig.model_validate(
        {
            "output_uri": str(tmp_path / "run"),
            "task": {"name": "jsonl", "path": "sample:front_desk"},
            "generate": {"engine": "scripted", "units_per_shard": 16},
        }
    )
    task, folder = load_task(config.task, seed=config.seed), tmp_path / "processes"
    folder.mkdir()
    first_round = RoundPlan(0, 0)
    shards = num_shards(make_plan(config, task, first_round).num_units, 16)
    placement.connect(config.cluster)
    with data_context():
        made = read_shards([(0, shard) for shard in range(shards)]).map_batches(
            DyingGenerator,
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=0.5,
            fn_constructor_args=(config, task, first_round, folder),
            compute=ray.data.ActorPoolStrategy(
                size=1, max_concurrent_calls_per_actor=3, enable_true_multi_threading=True
            ),
        )
        found = sorted(row["shard"] for row in made.iter_rows())
    assert found == list(range(shards))
    assert len(list(folder.iterdir())) == 2
