"""Fetching from fal: one client, one capped GET, and the copy on disk of what was fetched."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.domain.errors import AishaError
from app.domain.network import is_loopback
from app.files.atomic_write import put
from app.http_client.client import Headers, HttpClient, HttpReply, OnHead, read_url
from app.http_client.failures import HttpFailed

HEADERS = {"User-Agent": "aisha-webhook", "Accept": "application/json", "Accept-Encoding": "identity"}
CONNECTIONS = 10
READ_SECONDS = 10.0

Client = HttpClient


class FetchFailed(AishaError):
    """fal gave no usable answer. `why` is a stable word; neither the URL nor a header is ever in it.

    insecure_url · timeout · untrusted (a certificate) · unreachable (refused, reset, DNS, TLS) · encoded (an answer
    that would have to be inflated) · too_large. Where not `has_left` fal surely has not what was sent; a time that ran
    out counts as left, for nobody can tell.
    """

    def __init__(self, why: str, *, has_left: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.has_left = has_left


def make_client(*, connect_seconds: float = 5.0, read_seconds: float = READ_SECONDS) -> Client:
    """Build the one client for fal: no redirects, ten connections, no inflating.

    Proxies and trust anchors of the environment (HTTPS_PROXY, SSL_CERT_FILE) count: a host that may only leave
    through a proxy would otherwise never get a key and answer 503 for ever, and TLS is checked end to end through it.
    Loopback never goes through a proxy: there is nothing but a test twin. Plain HTTP is spoken with nobody else.
    """
    return HttpClient(HEADERS, connections=CONNECTIONS, connect_seconds=connect_seconds, read_seconds=read_seconds)


async def get_capped(
    client: Client,
    url: str,
    limit_bytes: int,
    headers: Mapping[str, str] | None = None,
    deadline_seconds: float = 10.0,
    *,
    on_headers: Callable[[Mapping[str, str]], None] | None = None,
) -> tuple[int, bytes]:
    """GET `url`; return the HTTP status, whatever it is, and at most `limit_bytes` of body.

    `deadline_seconds` bounds the whole exchange: a server that drips one byte at a time never hits a read timeout.
    `on_headers` is given the headers of whatever answer comes, before it is judged.
    Raises FetchFailed. Plain http:// is spoken with loopback only.
    """

    def look(_: int, answered: Headers) -> bool:
        if on_headers is not None:
            on_headers(answered)
        if answered.get("Content-Encoding", "identity") != "identity":
            raise FetchFailed("encoded")
        return True

    reply = await send_once(
        client, "GET", url, None, headers or {}, limit=limit_bytes, seconds=deadline_seconds, on_head=look
    )
    if len(reply.body) > limit_bytes:
        raise FetchFailed("too_large")
    return reply.status, reply.body


async def send_once(
    client: Client,
    method: str,
    url: str,
    body: bytes | None,
    headers: Headers,
    *,
    limit: int,
    seconds: float,
    on_head: OnHead | None = None,
) -> HttpReply:
    """Send one request; a POST or PUT is never sent a second time. `seconds` limits the whole exchange.

    Raises FetchFailed. An answer is given back whatever it says, cut after `limit` bytes and as it was encoded.
    """
    if not _is_permitted(url):
        raise FetchFailed("insecure_url", has_left=False)
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise FetchFailed("unreachable", has_left=False)  # a key that no header can hold
    try:
        async with asyncio.timeout(seconds):
            return await client.ask(method, read_url(url), limit=limit, headers=headers, body=body, on_head=on_head)
    except TimeoutError:
        raise FetchFailed("timeout") from None
    except HttpFailed as failed:
        raise FetchFailed(failed.in_short, has_left=failed.has_left) from None


def host_of(url: str) -> str | None:
    """Name the host of a URL, for logs; None where the URL is broken."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_permitted(url: str) -> bool:
    host = host_of(url)
    return host is not None and (url.startswith("https://") or (url.startswith("http://") and is_loopback(host)))


async def read_copy(path: Path, limit_bytes: int) -> tuple[datetime, bytes] | None:
    """Read a copy that `write_copy` left: when it was fetched, and the JSON object as it stands; None without a file.

    Raises OSError or ValueError when the file is there and cannot be used.
    """
    try:
        body = await asyncio.to_thread(_read, path, limit_bytes)
    except FileNotFoundError:
        return None
    document = orjson.loads(body)
    stamp = document.get("fetched_at") if isinstance(document, dict) else None
    fetched_at = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    if fetched_at is None or fetched_at.tzinfo is None:
        msg = "the copy does not say when it was fetched"
        raise ValueError(msg)
    return fetched_at, body


async def write_copy(path: Path, fetched_at: datetime, content: Mapping[str, Any]) -> None:
    """Replace the copy in one step, so that a reader or a crash never meets half a file. Raises OSError."""
    body = orjson.dumps({"fetched_at": fetched_at.isoformat(), **content}, option=orjson.OPT_INDENT_2)
    await asyncio.to_thread(_replace, path, body)


def _read(path: Path, limit_bytes: int) -> bytes:
    with path.open("rb") as file:
        body = file.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        msg = "the copy is too large"
        raise ValueError(msg)
    return body


def _replace(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, body)
