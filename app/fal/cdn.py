"""fal's CDN: whether the file is there that a training is said to have left; and images that must be fetched.

Source: docs/fal.md. The answer is read from status and length; of the file itself at most the first bytes.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Protocol

from app.domain.artifact import ArtifactLook, Sight, refusal_of
from app.http_client.client import Address, Headers, HttpClient, HttpReply, OnHead, read_url
from app.http_client.failures import AddressRefused, HttpFailed
from app.http_client.public import Lookup, Resolver

CONNECTIONS = 64
CONNECT_SECONDS = 2.5  # of the first address, so that there is time for the second
HEADERS = {"User-Agent": "aisha-webhook", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
HEAD_REFUSED = (403, 405, 501)  # a CDN that takes GET only
GONE = (404, 410)
READ_SECONDS = 60.0  # of one wait; a look ends earlier
EMPTY_RANGE = 416  # not even byte 0 is there
NO_CONTENT = 204
FETCH_SECONDS = 10.0  # of one image


class WayOut(Protocol):
    """What carries the questions: an HttpClient, or what leads to a twin."""

    async def ask(
        self, method: str, url: Address, *, limit: int, headers: Headers | None = None, on_head: OnHead | None = None
    ) -> HttpReply:
        """As HttpClient does."""

    async def aclose(self) -> None:
        """Close what is open."""


class FalCdn:
    """Satisfies the port ArtifactStore. `hosts` are ARTIFACT_HOSTS; nothing else is ever asked.

    A `way` of tests and twins takes the place of the way out, which reaches machines on the internet only; the rules
    about URLs are the same for it.
    """

    def __init__(self, hosts: Sequence[str], way: WayOut | None = None) -> None:
        self._hosts = tuple(hosts)
        self._way = way_out() if way is None else way

    async def aclose(self) -> None:
        """Close what is open."""
        await self._way.aclose()

    async def look(self, url: str, within: float) -> ArtifactLook:
        """Look at one URL for at most `within` seconds.

        Absent: no place for an artifact (lasting), 404, 410, empty, a redirect. Unreachable: the name, the connection,
        TLS, time, any other status; 403 and 401 say something of us and nothing of the file.
        """
        if (why := refusal_of(url, self._hosts)) is not None:
            return ArtifactLook(Sight.ABSENT, why, is_lasting=True)
        try:
            async with asyncio.timeout(within):
                return await self._head(read_url(url)) or await self._first_byte(read_url(url))
        except TimeoutError:
            return ArtifactLook(Sight.UNREACHABLE, "timeout")
        except AddressRefused as refused:
            return ArtifactLook(Sight.UNREACHABLE, refused.why)
        except HttpFailed as failed:
            return ArtifactLook(Sight.UNREACHABLE, failed.in_short)

    async def fetch(self, url: str, limit: int) -> bytes | None:
        """Fetch one file of at most `limit` bytes; None where it is not there, too large, or at no place for it."""
        if refusal_of(url, self._hosts) is not None:
            return None
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                reply = await self._way.ask(
                    "GET", read_url(url), limit=limit, headers=HEADERS, on_head=partial(_is_wanted, limit)
                )
        except (TimeoutError, AddressRefused, HttpFailed):
            return None
        return reply.body if reply.body and len(reply.body) <= limit else None

    async def _head(self, url: Address) -> ArtifactLook | None:
        """Ask with HEAD; None where that leaves the question open."""
        reply = await self._way.ask("HEAD", url, limit=0, headers=HEADERS)
        if reply.status in HEAD_REFUSED:
            return None
        if _is_success(reply.status) and reply.status != NO_CONTENT and _length(reply) is None:
            return None
        return _judge(reply)

    async def _first_byte(self, url: Address) -> ArtifactLook:
        """Ask for one byte, and read no further than the first piece where all is sent."""
        headers = {**HEADERS, "Range": "bytes=0-0"}
        reply = await self._way.ask("GET", url, limit=0, headers=headers, on_head=lambda status, _: _is_success(status))
        if not _is_success(reply.status):
            return _judge(reply)
        return ArtifactLook(Sight.SEEN) if reply.body else ArtifactLook(Sight.ABSENT, "empty")


def way_out(lookup: Lookup | None = None) -> HttpClient:
    """Make what reaches machines on the internet only; `lookup` gives the addresses of a name."""
    return HttpClient(
        {},
        connections=CONNECTIONS,
        connect_seconds=CONNECT_SECONDS,
        read_seconds=READ_SECONDS,
        lookup=Resolver().addresses if lookup is None else lookup,
    )


def _is_wanted(limit: int, status: int, headers: Headers) -> bool:
    stated = headers.get("Content-Length", "")
    is_too_large = stated.isascii() and stated.isdigit() and int(stated) > limit
    return status == HTTPStatus.OK and not is_too_large


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _judge(reply: HttpReply) -> ArtifactLook:
    status = reply.status
    if status in GONE:
        return ArtifactLook(Sight.ABSENT, f"http_{status}")
    if status in (NO_CONTENT, EMPTY_RANGE) or (_is_success(status) and _length(reply) == 0):
        return ArtifactLook(Sight.ABSENT, "empty")
    if _is_success(status):
        return ArtifactLook(Sight.SEEN)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return ArtifactLook(Sight.ABSENT, "redirect")
    return ArtifactLook(Sight.UNREACHABLE, f"http_{status}")


def _length(reply: HttpReply) -> int | None:
    text = reply.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None
