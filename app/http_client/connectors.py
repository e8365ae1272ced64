"""How connections are made and taken again: as aiohttp does, with one look more at a kept connection."""

import select
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Looking(aiohttp.TCPConnector):
    """Passes over a kept connection on which something has come: that it is closed, or what nobody asked for.

    aiohttp sees what its loop has read. Between that and the next request lies whatever the loop did meanwhile; a
    request sent then would be lost, and nobody could tell whether it was taken. What nobody asked for would be read as
    the answer to the next request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[ResponseHandler] = WeakSet()  # a new one may have something to read: tickets of TLS

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the base's signature
    ) -> "Connection":
        """Give a connection, a kept one or a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol not in self._used:
                break
            if not _has_news(protocol):
                return connection
            connection.close()
        if protocol is not None:
            self._used.add(protocol)
        return connection


class DirectConnector(Looking):
    """To the other side itself, or to a proxy that speaks HTTP."""


def _has_news(protocol: "ResponseHandler") -> bool:
    transport = protocol.transport
    if transport is None:
        return True
    waiting = select.poll()
    waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(waiting.poll(0))
