"""End to end, with tools from outside: `make e2e`. `make test` passes them over."""

import os
from pathlib import Path

import pytest

from tests.faults.conftest import cluster, outside, postgres_rig  # noqa: F401  fixtures, for the replicas behind nginx

HERE = Path(__file__).parent
WANTED = os.environ.get("E2E") == "full"  # noqa: TID251  a setting of the tests, not of the server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what lies here, unless it was asked for."""
    for item in items:
        if HERE in item.path.parents and not WANTED:
            item.add_marker(pytest.mark.skip(reason="long, and needs tools from outside: make e2e"))
