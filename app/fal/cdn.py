"""fal's CDN, as far as this server looks at it: whether the file is there that a training is said to have left.

Source: docs/fal.md. The answer is read from status and length; of the file itself at most the first bytes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing

import httpx2

from app.domain.artifact import ArtifactLook, Sight, refusal_of
from app.fal.pinned import PinnedTransport
from app.http_client.failures import AddressRefused

Transport = httpx2.AsyncBaseTransport

CONNECT_SECONDS = 2.5  # of the first address, so that there is time for the second
HEADERS = {"User-Agent": "aisha-webhook", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
HEAD_REFUSED = (403, 405, 501)  # a CDN that takes GET only
GONE = (404, 410)
EMPTY_RANGE = 416  # not even byte 0 is there
NO_CONTENT = 204


class FalCdn:
    """Satisfies the port ArtifactStore. `hosts` are ARTIFACT_HOSTS; nothing else is ever asked.

    A `transport` of tests and twins takes the place of the way out; the rules about URLs are the same for it.
    """

    def __init__(self, hosts: Sequence[str], transport: Transport | None = None) -> None:
        self._hosts = tuple(hosts)
        self._transport = PinnedTransport() if transport is None else transport

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def look(self, url: str, within: float) -> ArtifactLook:
        """Look at one URL for at most `within` seconds.

        Absent: no place for an artifact (lasting), 404, 410, empty, a redirect. Unreachable: the name, the connection,
        TLS, time, any other status; 403 and 401 say something of us and nothing of the file.
        """
        if (why := refusal_of(url, self._hosts)) is not None:
            return ArtifactLook(Sight.ABSENT, why, is_lasting=True)
        try:
            async with asyncio.timeout(within):
                return await self._head(url, within) or await self._first_byte(url, within)
        except (TimeoutError, httpx2.TimeoutException):
            return ArtifactLook(Sight.UNREACHABLE, "timeout")
        except AddressRefused as refused:
            return ArtifactLook(Sight.UNREACHABLE, refused.why)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError):
            return ArtifactLook(Sight.UNREACHABLE, "unreachable")

    async def _head(self, url: str, within: float) -> ArtifactLook | None:
        """Ask with HEAD; None where that leaves the question open."""
        response = await self._send("HEAD", url, HEADERS, within)
        try:
            if response.status_code in HEAD_REFUSED:
                return None
            if response.is_success and response.status_code != NO_CONTENT and _length(response) is None:
                return None
            return _judge(response)
        finally:
            await response.aclose()

    async def _first_byte(self, url: str, within: float) -> ArtifactLook:
        """Ask for one byte, and read no further than the first piece where all is sent."""
        response = await self._send("GET", url, {**HEADERS, "Range": "bytes=0-0"}, within)
        try:
            if not response.is_success:
                return _judge(response)
            async with aclosing(response.aiter_raw()) as pieces:
                async for piece in pieces:
                    if piece:
                        return ArtifactLook(Sight.SEEN)
            return ArtifactLook(Sight.ABSENT, "empty")
        finally:
            await response.aclose()

    async def _send(self, method: str, url: str, headers: Mapping[str, str], within: float) -> httpx2.Response:
        # Sent by the transport itself: there is no client, so neither cookies nor redirects nor credentials.
        waits = {"connect": min(within, CONNECT_SECONDS), "read": within, "write": within, "pool": within}
        request = httpx2.Request(method, url, headers=headers, extensions={"timeout": waits})
        response = await self._transport.handle_async_request(request)
        response.request = request
        return response


def _judge(response: httpx2.Response) -> ArtifactLook:
    status = response.status_code
    if status in GONE:
        return ArtifactLook(Sight.ABSENT, f"http_{status}")
    if status in (NO_CONTENT, EMPTY_RANGE) or (response.is_success and _length(response) == 0):
        return ArtifactLook(Sight.ABSENT, "empty")
    if response.is_success:
        return ArtifactLook(Sight.SEEN)
    if response.is_redirect:
        return ArtifactLook(Sight.ABSENT, "redirect")
    return ArtifactLook(Sight.UNREACHABLE, f"http_{status}")


def _length(response: httpx2.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None
