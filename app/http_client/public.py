"""Names of machines on the internet only: the addresses of a name are checked before one is used.

The address that was checked is the one that is connected to, so that a name cannot be one machine for the check and
another for the connection.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from app.domain.network import is_public
from app.http_client.failures import AddressRefused

HTTPS = 443
MOST_ADDRESSES = 4  # of one name are tried
MOST_LOOKUPS = 8  # at a time: a resolver that hangs holds so many threads

Lookup = Callable[[str], Awaitable[Sequence[str]]]


class PublicNames(AbstractResolver):
    """Gives the addresses of names, if all of them are public. `lookup` asks for them.

    It is not asked about addresses: whoever uses it refuses those by `refuse_private`.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return at most four addresses. Raises AddressRefused."""
        addresses = await self._lookup(host)
        if not addresses:
            raise AddressRefused("no_address")
        for address in addresses:
            refuse_private(address)
        del family  # a name's addresses are checked together, and tried in the order that DNS gave
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses[:MOST_ADDRESSES]
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Resolver:
    """Asks the system for the addresses of names, on threads that hold up no exit. Who asks twice waits once."""

    def __init__(self, ask: Callable[[str], Sequence[str]] | None = None) -> None:
        self._ask = _addresses if ask is None else ask
        self._asked: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """Return the addresses of a name, none where it has none. Raises AddressRefused while too many are asked."""
        if host not in self._asked:
            if len(self._asked) >= MOST_LOOKUPS:
                raise AddressRefused("no_address")
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Sequence[str]] = loop.create_future()
            Thread(target=self._look_up, args=(loop, host, answer), name="lookup", daemon=True).start()
            self._asked[host] = answer
        return await asyncio.shield(self._asked[host])

    def _look_up(self, loop: asyncio.AbstractEventLoop, host: str, answer: "asyncio.Future[Sequence[str]]") -> None:
        found: Sequence[str] = ()
        with suppress(OSError, UnicodeError):
            found = self._ask(host)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._tell, host, answer, found)

    def _tell(self, host: str, answer: "asyncio.Future[Sequence[str]]", found: Sequence[str]) -> None:
        del self._asked[host]
        answer.set_result(found)


def refuse_private(address: str) -> None:
    """Raise AddressRefused for an address that is no machine's on the internet."""
    if not is_public(address):
        raise AddressRefused("private_address")


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for one address, as the last to see where it leads. Raises OSError for a private one."""
    family, kind, protocol, _, (address, *_) = info
    if not is_public(address):
        raise OSError("private_address")
    return socket.socket(family, kind, protocol)


def _addresses(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
