"""What a browser is told of a page."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.server.security_headers import DEFAULTS, SecurityHeaders

pytestmark = pytest.mark.anyio


async def nothing() -> Message:
    return {"type": "http.request"}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (b"cache-control", b"max-age=60"),
        (b"content-security-policy", b"default-src 'self'"),
        (b"referrer-policy", b"origin"),
    ],
)
async def test_a_page_may_say_more_about_itself(name: bytes, own: bytes) -> None:
    """Its own word stands alone, however it is spelled; the others are added."""
    headers = await answered([(name.title(), own)])
    assert [value for found, value in headers if found.lower() == name] == [own]
    assert {found.lower() for found, _ in headers} == {defaulted for defaulted, _ in DEFAULTS}


async def test_a_page_that_says_nothing_is_kept_shown_and_framed_by_nobody() -> None:
    """`no-store`, and a policy that lets nothing run."""
    headers = dict(await answered([(b"vary", b"Origin")]))
    assert headers[b"cache-control"] == b"no-store"
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"vary"] == b"Origin"


async def answered(own: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that a page's answer leaves with."""

    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    messages: list[MutableMapping[str, Any]] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await SecurityHeaders(page)({"type": "http"}, nothing, send)
    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    headers: list[tuple[bytes, bytes]] = messages[0]["headers"]
    return headers


async def test_the_lifespan_is_passed_on() -> None:
    """What is no request goes through untouched."""
    seen: list[str] = []

    async def page(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async def send(_message: Message) -> None: ...

    await SecurityHeaders(page)({"type": "lifespan"}, nothing, send)
    assert seen == ["lifespan"]
