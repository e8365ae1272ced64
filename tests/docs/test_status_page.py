"""docs/status.md explains what the server answers at /api/v1/webhook/status."""

import json
from typing import Any

import pytest

from tests.docs.project import between, names, page
from tests.routers.conftest import Serve, serve  # noqa: F401  a fixture: the whole application

pytestmark = pytest.mark.anyio


def fields(answer: dict[str, Any]) -> list[str]:
    """Name every number of the answer, those of a group as `group.name`."""
    return [
        f"{name}.{inner}" if inner else name
        for name, value in answer.items()
        for inner in (value if isinstance(value, dict) else [""])
    ]


async def test_every_field_is_explained(serve: Serve) -> None:  # noqa: F811  the fixture, asked for
    """Each field of a real answer stands in the table, in its order, and no other."""
    async with serve() as served:
        answer = (await served.http.get("/api/v1/webhook/status")).json()
    assert names(between(page("docs/status.md"), "status")) == fields(answer)


@pytest.mark.parametrize("name", ["docs/operate.md", "docs/operate.ru.md"])
async def test_the_answer_that_is_shown_has_every_field(serve: Serve, name: str) -> None:  # noqa: F811  the fixture, asked for
    """The page on operating shows an answer with the fields of today's, in their order."""
    async with serve() as served:
        answer = (await served.http.get("/api/v1/webhook/status")).json()
    [shown] = [json.loads(line) for line in page(name).splitlines() if line.startswith('{"deliveries"')]
    assert fields(shown) == fields(answer)
