"""Requests that two parsers may read in two ways, sent through the shipped nginx to our real listener (fault 35)."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.server.listener import Listener
from tests.e2e.nginx import NAME, Front, needs_nginx, running_nginx
from tests.process.listening import echo, running
from tests.process.test_smuggling import PROBES

pytestmark = needs_nginx

ANSWERS = re.compile(rb"HTTP/1\.1 (\d{3})")
LOGGED_WITHIN = 5.0  # s: nginx writes its line after the answer has left
IMPATIENT = {
    "client_header_timeout 15s": "client_header_timeout 1s",
    "client_body_timeout 15s": "client_body_timeout 1s",
    "keepalive_timeout 30s": "keepalive_timeout 1s",
}


@dataclass
class Back:
    """The application behind both replicas; remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.asked.append(f"{scope['method']} {scope['path']}")
        await echo(scope, receive, send)


@dataclass
class Both:
    """nginx and what stands behind it."""

    front: Front
    back: Back

    def entries(self, since: int) -> list[dict[str, Any]]:
        """Read the access log from byte `since` on."""
        return [json.loads(line) for line in self.front.log.read_bytes()[since:].splitlines()]


@pytest.fixture(name="both", scope="module")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    back = Back()
    listener = Listener("127.0.0.1", 0, None)
    folder = tmp_path_factory.mktemp("smuggling")
    with (
        running(listener, back) as one,
        running(listener, back) as other,
        running_nginx(folder / "nginx", (one.port, other.port), IMPATIENT) as front,
    ):
        yield Both(front, back)


@pytest.mark.parametrize("probe", PROBES)
def test_nginx_and_the_replicas_count_alike(both: Both, probe: str) -> None:
    """What nginx passed on is, request for request, what the replicas were asked: neither sees one more (fault 35)."""
    before, begun = len(both.front.log.read_bytes()), len(both.back.asked)
    received = both.front.ask(PROBES[probe].replace(b"Host: localhost", f"Host: {NAME}".encode()))
    answers = len(ANSWERS.findall(received))
    end = time.monotonic() + LOGGED_WITHIN
    while len(entries := both.entries(before)) < answers and time.monotonic() < end:
        time.sleep(0.01)
    passed = Counter(f"{entry['method']} {entry['path']}" for entry in entries if entry["upstream"])
    assert Counter(both.back.asked[begun:]) == passed
    assert answers <= len(entries)
    # nginx may rightly see two requests where the hidden one stands behind a complete one; never does it ask for more.
    assert passed.total() <= 2
