import asyncio
import json
from collections.abc import Sequence
from typing import Never

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.server.hosts import HostGuard

ALLOWED = ("aibots.kz", "*.aibots.kz", "localhost", "127.0.0.1", "[::1]")


async def _app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def _ask(
    headers: list[bytes], target: bytes = b"/", allowed: Sequence[str] = ALLOWED, kind: str = "http"
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Never:
        raise AssertionError

    scope = {
        "type": kind,
        "method": "GET",
        "path": target.decode("latin-1"),
        "raw_path": target,
        "headers": [(b"host", value) for value in headers],
    }
    asyncio.run(HostGuard(_app, allowed)(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    "host",
    [
        b"aibots.kz",
        b"AIBOTS.KZ",
        b"aibots.kz:8443",
        b"api.aibots.kz",
        b"a.b.aibots.kz:1",
        b"localhost:65535",
        b"127.0.0.1:8443",
        b"[::1]",
        b"[::1]:8443",
        b"[0:0:0:0:0:0:0:1]",
    ],
)
def test_our_names_pass(host: bytes) -> None:
    """Every listed name passes, in any case, with or without a port, IPv6 in any spelling (fault 37)."""
    assert _ask([host])[0]["status"] == 200


def test_everything_else_is_refused() -> None:
    """No Host, two, a foreign one, userinfo, port tricks and bad syntax are 400 and never a redirect (fault 37)."""
    for headers in [
        [],
        [b""],
        [b" "],
        [b"evil.example"],
        [b"aibots.kz.evil.example"],
        [b"evilaibots.kz"],
        [b".aibots.kz"],
        [b"a..aibots.kz"],
        [b"aibots.kz."],
        [b"aibots.kz", b"aibots.kz"],
        [b"aibots.kz", b"evil.example"],
        [b"aibots.kz, evil.example"],
        [b"evil@aibots.kz"],
        [b"aibots.kz@evil"],
        [b"aibots.kz:"],
        [b"aibots.kz:0x1"],
        [b"aibots.kz:65536"],
        [b"aibots.kz:8443:8443"],
        [b"aibots.kz:-1"],
        [b"aibots.kz/"],
        [b"aibots.kz#evil"],
        [b"http://aibots.kz"],
        [b"aibots.kz\n"],
        [b"aibots.kz\x00"],
        [b"aib\xc3\xb3ts.kz"],
        [b"aibots.kz:\xb2"],
        [b"::1"],
        [b"[::1"],
        [b"[::1]x"],
        [b"[::1%25eth0]"],
        [b"[::2]"],
        [b"[localhost]"],
        [b"[:::]"],
        [b"-aibots.kz"],
        [b"a" * 300],
    ]:
        start, body = _ask(headers)
        assert start["status"] == 400, headers
        assert dict(start["headers"])[b"content-type"] == b"application/problem+json", headers
        assert json.loads(body["body"])["code"] == "host_not_allowed", headers
        assert not any(name == b"location" for name, _ in start["headers"]), headers


@pytest.mark.parametrize("target", [b"http://aibots.kz/", b"https://evil.example/health", b"*", b"aibots.kz:443"])
def test_a_target_that_names_a_host_is_refused(target: bytes) -> None:
    """An absolute-form target is refused even when both hosts are ours (fault 37)."""
    assert _ask([b"aibots.kz"], target)[0]["status"] == 400


def test_a_star_allows_any_name_but_no_bad_syntax() -> None:
    """`*` allows every name; two Hosts and bad syntax stay refused."""
    assert _ask([b"evil.example"], allowed=("*",))[0]["status"] == 200
    assert _ask([b"evil.example", b"x"], allowed=("*",))[0]["status"] == 400
    assert _ask([b"evil@example"], allowed=("*",))[0]["status"] == 400


def test_a_wildcard_does_not_hold_its_own_domain() -> None:
    """`*.domain` is what lies below the domain."""
    assert _ask([b"aibots.kz"], allowed=("*.aibots.kz",))[0]["status"] == 400


def test_lifespan_passes_and_a_websocket_is_closed() -> None:
    """The application's own start has no Host; a websocket with a foreign one is closed."""
    assert _ask([], kind="lifespan")[0]["status"] == 200
    assert _ask([b"evil.example"], kind="websocket") == [{"type": "websocket.close", "code": 1008}]
