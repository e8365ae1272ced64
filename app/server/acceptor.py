"""Takes connections: judges each by its address before a byte of it is read, and outlives a lack of descriptors."""

import asyncio
import socket
import struct
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from app.domain.quotas import ConnectionQuota

log = structlog.get_logger(__name__)

AT_ONCE = 64  # connections taken before the loop looks after the others again
PAUSE = 0.25  # s without taking any, when there is nothing to hold them with
FAREWELL = 3.0  # s for handshakes under way when the door is closed
SILENCE = 60.0  # s between two lines about the same trouble
AT_ONCE_AND_SILENTLY = struct.pack("ii", 1, 0)  # SO_LINGER: reset, which leaves nothing behind in the kernel


class Acceptor:
    """A listening socket; it has of asyncio's server what uvicorn asks of it.

    A place is held as long as its socket object lives: however a connection ends, its place is free again.
    """

    def __init__(
        self,
        bound: socket.socket,
        quota: ConnectionQuota,
        make_protocol: Callable[[], asyncio.Protocol],
        tls: dict[str, Any],
    ) -> None:
        self._bound = bound
        self._quota = quota
        self._make_protocol = make_protocol
        self._tls = tls  # keyword arguments of connect_accepted_socket
        self._loop = asyncio.get_running_loop()
        self._introductions: set[asyncio.Task[None]] = set()
        self._refused: Counter[str] = Counter()
        self._last_refused = ""
        self._told: dict[str, float] = {}
        self._pausing: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self, backlog: int) -> None:
        """Listen; raises OSError when somebody else does already."""
        self._bound.setblocking(False)
        self._bound.listen(backlog)
        self._loop.add_reader(self._bound, self._take)

    def close(self) -> None:
        """Take who has connected by now, and then nobody."""
        if self._closed:
            return
        if self._pausing is None:
            self._take(self._quota.room)
        self._closed = True
        self._rest()
        self._bound.close()

    async def wait_closed(self) -> None:
        """Let handshakes under way come to their end, but not for ever."""
        if self._introductions:
            _, late = await asyncio.wait(self._introductions, timeout=FAREWELL)
            for task in late:
                task.cancel()

    def report(self) -> None:
        """Log whom there was no place for: at once the first time, then once a minute."""
        if self._refused and self._is_news("refused"):
            full, share = self._refused["full"], self._refused["share"]
            log.warning("server.connections_refused", full=full, share=share, latest=self._last_refused)
            self._refused.clear()

    def _is_news(self, trouble: str) -> bool:
        now = self._loop.time()
        if now - self._told.get(trouble, -SILENCE) < SILENCE:
            return False
        self._told[trouble] = now
        return True

    def _take(self, most: int = AT_ONCE) -> None:
        for _ in range(most):
            try:
                connection, address = self._bound.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # gone again
                continue
            except OSError as error:
                self._pause(error)
                return
            host = address[0] if isinstance(address, tuple) else ""
            refusal = self._quota.enter(host)
            if refusal is None:
                self._seat(connection, host)
            else:
                self._refused[refusal] += 1
                self._last_refused = host
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE_AND_SILENTLY)
                connection.close()

    def _seat(self, connection: socket.socket, host: str) -> None:
        weakref.finalize(connection, self._quota.leave, host).atexit = False
        connection.setblocking(False)
        task = self._loop.create_task(self._introduce(connection))
        self._introductions.add(task)
        task.add_done_callback(self._introductions.discard)

    async def _introduce(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection, **self._tls)
        except OSError:  # no handshake, or none in time: the peer's affair
            connection.close()

    def _pause(self, error: OSError) -> None:
        # Out of descriptors or memory: whoever waits in the kernel's queue is taken as soon as there are some again.
        if self._is_news("no_descriptors"):
            log.error("server.connections_wait", cause=error.strerror, present=self._quota.present)
        self._loop.remove_reader(self._bound)
        self._pausing = self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._pausing = None
        self._loop.add_reader(self._bound, self._take)

    def _rest(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
        self._loop.remove_reader(self._bound)
