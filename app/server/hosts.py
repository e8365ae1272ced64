"""Checks the Host header."""

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from ipaddress import IPv6Address

from starlette.types import ASGIApp, Receive, Scope, Send

from app.routers.problems import problem

AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?))(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
HIGHEST_PORT = 65535
KNOWN_HOSTS = 256
READING = ("GET", "HEAD")


class HostGuard:
    """Answers 400 `host_not_allowed` unless there is exactly one Host header and it names this server. Never redirects.

    `allowed_hosts` holds names, addresses, `*.domain` (any depth below it, not the domain itself) or `*`.
    GET and HEAD of the paths in `open_to_all` pass with any Host and with none: load balancers and monitors ask by an
    address, or over HTTP/1.0, and the answers hold nothing that depends on a name.
    `on_refused` is told of every refusal, with the Host header as it came (None: none, or several).
    """

    def __init__(
        self,
        app: ASGIApp,
        allowed_hosts: Sequence[str],
        open_to_all: Collection[str] = (),
        on_refused: Callable[[Scope, bytes | None], None] = lambda _scope, _host: None,
    ) -> None:
        self.app = app
        self._open = frozenset(open_to_all)
        self._on_refused = on_refused
        allowed = [_canonical(host) for host in allowed_hosts]
        self._exact = frozenset(allowed)
        self._suffixes = tuple(host[1:] for host in allowed if host.startswith("*."))
        self._any = "*" in allowed
        self.allows_host = lru_cache(KNOWN_HOSTS)(self._judge)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan" or self._passes(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            self._on_refused(scope, _host(scope))
            refusal = problem(400, "host_not_allowed", "The Host header does not name this server.")
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _passes(self, scope: Scope) -> bool:
        if _plain_target(scope) and self.allows_host(_host(scope)):
            return True
        return scope["type"] == "http" and scope["method"] in READING and _target(scope) in self._open

    def _judge(self, value: bytes | None) -> bool:
        host = _parse(value)
        if host is None:
            return False
        return self._any or host in self._exact or host.endswith(self._suffixes)


def _plain_target(scope: Scope) -> bool:
    """Whether the target is a path: `GET http://other/` names a second host, and frameworks may use either."""
    return _target(scope).startswith("/")


def _target(scope: Scope) -> str:
    """Return the target's path as it was sent, escapes and all."""
    target: bytes | None = scope.get("raw_path")
    return target.decode("latin-1") if target else str(scope["path"])


def _host(scope: Scope) -> bytes | None:
    values = [value for name, value in scope["headers"] if name == b"host"]
    return values[0] if len(values) == 1 else None


def _parse(value: bytes | None) -> str | None:
    """Return the host without its port in one spelling, or None where the syntax is wrong."""
    match = AUTHORITY.fullmatch(value.decode("latin-1")) if value is not None else None
    if match is None or int(match["port"] or 0) > HIGHEST_PORT:
        return None
    if match["name"] is not None:
        name = match["name"].lower()
        return None if ".." in name else name
    try:
        return IPv6Address(match["v6"]).compressed
    except ValueError:
        return None


def _canonical(host: str) -> str:
    bare = host.strip().lower()
    try:
        return IPv6Address(bare.removeprefix("[").removesuffix("]")).compressed
    except ValueError:
        return bare
