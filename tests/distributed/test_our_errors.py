"""What a step of ours raises deep in Ray reaches the user as itself, and as nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pytest
import ray
import ray.data
from botocore.exceptions import ConnectionClosedError

from msp.config import ClusterConfig
from msp.distributed import placement
from msp.distributed.generate import data_context
from msp.errors import CheckpointError, StorageError

pytestmark = pytest.mark.ray


def fail(table: pa.Table) -> pa.Table:
    try:
        raise ConnectionClosedError(endpoint_url="http://host")
    except ConnectionClosedError as error:
        raise StorageError("the store is out of reach.") from error


class FailingActor:
    def __init__(self) -> None:
        raise CheckpointError("no prompts there.")

    def __call__(self, table: pa.Table) -> pa.Table:
        return table


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> None:
    # Ray's workers have no path to this file, so its steps travel by value.
    ray.cloudpickle.register_pickle_by_value(__import__(__name__))
    placement.connect(ClusterConfig())


def test_an_error_of_a_task_comes_out_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(StorageError) as caught,
        data_context(),
        placement.ours_out_of_rays(),
    ):
        list(ray.data.range(2).map_batches(fail).iter_rows())
    assert type(caught.value) is StorageError and str(caught.value) == "the store is out of reach."
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_of_an_actors_constructor_comes_out_as_it_was() -> None:
    pool = ray.data.ActorPoolStrategy(size=1)
    with (
        pytest.raises(CheckpointError) as caught,
        data_context(),
        placement.ours_out_of_rays(),
    ):
        list(ray.data.range(2).map_batches(FailingActor, compute=pool).iter_rows())
    assert type(caught.value) is CheckpointError and str(caught.value) == "no prompts there."


def test_an_error_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    error = StorageError("full.")
    with pytest.raises(StorageError) as caught, placement.ours_out_of_rays():
        raise error
    assert caught.value is error and pickle.loads(pickle.dumps(error)).args == error.args
