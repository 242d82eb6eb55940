"""One made-up comparison for all of these tests."""

from __future__ import annotations

import pytest
from made_up import FakeComparison, make_fake


@pytest.fixture(scope="session")
def fake() -> FakeComparison:
    """Return a comparison of five arms and their ablations, with two cells missing."""
    return make_fake()
