"""Ray is started by each module that needs it, and never outlives the module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray


@pytest.fixture(scope="module", autouse=True)
def no_ray_left_behind() -> Iterator[None]:
    """Shut Ray down after a module's last test, whoever started it in this process."""
    yield
    ray.shutdown()
