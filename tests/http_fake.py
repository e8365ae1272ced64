"""A stand-in for HttpClient: every request is answered by a function of the test's."""

import json as json_module
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, cast

from multidict import CIMultiDict
from yarl import URL

from app.http_client.client import HttpClient, HttpReply, OnHead


@dataclass(frozen=True)
class Asked:
    """One request, as the client is given it."""

    method: str
    url: URL
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Given:
    """One answer; `pieces` in place of a content come one by one."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    pieces: AsyncIterator[bytes] | None = None


@dataclass
class FakeHttp:
    """Asks `answer`, which returns what is given or raises what the client would raise; reads as the client does."""

    answer: Callable[[Asked], Given | Awaitable[Given]]

    async def ask(
        self,
        method: str,
        url: URL,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        body: None = None,
        on_head: OnHead | None = None,
    ) -> HttpReply:
        assert body is None, "what is faked here is only read"
        answered = self.answer(Asked(method, url, CIMultiDict(headers or {})))
        given = await answered if isawaitable(answered) else answered
        given_headers = CIMultiDict(given.headers)
        if on_head is not None and not on_head(given.status, given_headers):
            return HttpReply(given.status, given_headers, b"")
        read = given.content if given.json is None else json_module.dumps(given.json).encode()
        if given.pieces is not None:
            async for piece in given.pieces:
                read += piece
                if len(read) > limit:
                    break
        return HttpReply(given.status, given_headers, read)

    async def aclose(self) -> None:
        """Nothing is open."""


def http_of(answer: Callable[[Asked], Given | Awaitable[Given]]) -> HttpClient:
    return cast("HttpClient", FakeHttp(answer))
