"""Every command of README and installation on clean copies: `make e2e`. `make test` passes it over."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WANTED = os.environ.get("E2E") == "full"  # noqa: TID251  a setting of the tests, not of the server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what lies here, unless it was asked for."""
    for item in items:
        if HERE in item.path.parents and not WANTED:
            item.add_marker(pytest.mark.skip(reason="long, and installs packages: make e2e"))
