"""What a crash leaves behind."""

import resource

import pytest

from tests.process.conftest import StartServer

pytestmark = pytest.mark.anyio


async def test_a_crash_leaves_no_image_of_the_memory(start_server: StartServer, sqlite_url: str) -> None:
    """It would hold the TLS key and the tokens (fault 45)."""
    async with start_server(sqlite_url) as server:
        assert resource.prlimit(server.process.pid, resource.RLIMIT_CORE) == (0, 0)
