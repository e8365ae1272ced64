"""The client's address: forwarded addresses are accepted only from trusted proxies."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.network import Address, read_address, read_hop

UNIX = "unix"
KNOWN_PEERS = 1024


class ClientAddress:
    """Sets `scope["client"]` and `scope["scheme"]` from a trusted proxy's headers; ignores everybody else's.

    `trusted` holds addresses, networks, and `unix` for peers on a Unix socket; anything else raises ValueError, `*`
    included: it would let every caller choose its own address.
    X-Forwarded-For is walked from the right: the first hop that is not a trusted proxy is the client (port 0). Empty
    hops are passed over, as RFC 9110 5.6.1 has it for lists; a port and the brackets of IPv6 are taken off. A hop that
    is no address, or a header of empty hops only, makes the client unknown, `scope["client"] = None`: whoever filters
    by address must refuse it.
    An IPv4 address mapped into IPv6 is unmapped, the peer's own, too.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self.app = app
        names = [name.strip() for name in trusted]
        self._unix = UNIX in names
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(name, strict=False) for name in names if name != UNIX
        )
        self._peer = lru_cache(KNOWN_PEERS)(self._judge)
        self._behind = lru_cache(KNOWN_PEERS)(self._client_behind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the client's address, then pass the request on."""
        if scope["type"] != "lifespan":
            self._settle(scope)
        await self.app(scope, receive, send)

    def _settle(self, scope: Scope) -> None:
        client = scope.get("client")
        if client is None:
            trusted = self._unix and _on_unix_socket(scope)
        else:
            host, trusted = self._peer(client[0])
            if host != client[0]:
                scope["client"] = (host, client[1])
        if not trusted:
            return
        hops, scheme = _forwarded(scope)
        if hops:
            self._walk(scope, hops)
        if scheme is not None:
            scope["scheme"] = scheme

    def client_of(self, scope: Scope, forwarded: bytes | None) -> str | None:
        """Tell who is calling: the peer, or whom a trusted one names in its only X-Forwarded-For (`forwarded`)."""
        client = scope.get("client")
        if client is None:
            trusted, host = self._unix and _on_unix_socket(scope), None
        else:
            host, trusted = self._peer(client[0])
        return self._behind(host, forwarded) if trusted and forwarded is not None else host

    def _client_behind(self, host: str | None, forwarded: bytes) -> str | None:
        scope: Scope = {"client": None if host is None else (host, 0)}
        self._walk(scope, forwarded.decode("latin-1").split(","))
        return None if scope["client"] is None else str(scope["client"][0])

    def _walk(self, scope: Scope, hops: list[str]) -> None:
        # Where all hops are trusted the request came from one of the proxies itself: the peer is the client.
        bare = [hop for hop in (hop.strip(" \t") for hop in hops) if hop]
        if not bare:
            scope["client"] = None
        for hop in reversed(bare):
            address = read_hop(hop)
            if address is None:
                scope["client"] = None
                return
            if not self._trusts(address):
                scope["client"] = (str(address), 0)
                return

    def _judge(self, host: str) -> tuple[str, bool]:
        address = read_address(host)
        return (host, False) if address is None else (str(address), self._trusts(address))

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _on_unix_socket(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and server[1] is None


def _forwarded(scope: Scope) -> tuple[list[str], str | None]:
    """Return the hops, oldest first, and the scheme that the nearest proxy saw."""
    hops: list[str] = []
    scheme = None
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for":
            hops += value.decode("latin-1").split(",")
        elif name == b"x-forwarded-proto":
            nearest = value.decode("latin-1").rpartition(",")[2].strip().lower()
            scheme = nearest if nearest in ("http", "https") else scheme
    return hops, scheme
