"""The autoscaling test's option: where its picture goes."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("autoscaling")
    group.addoption("--scaling-picture", metavar="FILE", help="draw the nodes' timeline, as SVG")
