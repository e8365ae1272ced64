"""Accepts connections, by the limits per address, and recovers when the system had run out of descriptors."""

import asyncio
import socket
import struct
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from app.domain.quotas import ConnectionQuota, NoRoom
from app.server.listener import is_narrow, widen
from app.server.memory import Crowd

log = structlog.get_logger(__name__)

AT_ONCE = 64  # connections accepted before the event loop gets its turn again
WIDE = 8  # connections of one address that may be far ahead of what is read; the next ones cost a third as much
PAUSE = 0.25  # s without accepting, after the system had no descriptor or memory for a connection
HANDSHAKES_END = 3.0  # s for handshakes under way when accepting ends
SILENCE = 60.0  # s between two log lines about the same trouble
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset, which leaves no state in the kernel


# What connections beyond a limit are counted as.
CONNECTION_CODES: dict[NoRoom, str] = {"full": "connections_full", "share": "connections_share"}


class Acceptor:
    """A listening socket with those methods of asyncio.Server that uvicorn calls.

    A connection counts against the limits as long as its socket object lives, so however it ends its place is freed.
    `refusals` counts the refused ones by their code.
    """

    def __init__(
        self,
        bound: socket.socket,
        quota: ConnectionQuota,
        make_protocol: Callable[[], asyncio.Protocol],
        tls: dict[str, Any],
        refusals: Counter[str] | None = None,
    ) -> None:
        self._refusals = Counter[str]() if refusals is None else refusals
        self._bound = bound
        self._is_narrow = is_narrow(bound)
        self._quota = quota
        self._make_protocol = make_protocol
        self._tls = tls  # keyword arguments of connect_accepted_socket
        if tls:
            tls["ssl"].on_plain_http = self._count_plain_http
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._refused: Counter[str] = Counter()
        self._last_refused = ""
        self._crowd = Crowd()
        self._plain = 0
        self._told: dict[str, float] = {}
        self._pausing: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self, backlog: int) -> None:
        """Listen; raises OSError when another process listens on the port already."""
        self._bound.setblocking(False)
        self._bound.listen(backlog)
        self._loop.add_reader(self._bound, self._take)

    def close(self) -> None:
        """Accept the connections that wait in the backlog, then stop accepting."""
        if self._closed:
            return
        if self._pausing is None:
            self._take(self._quota.room)
        self._closed = True
        self._rest()
        self._bound.close()

    async def wait_closed(self) -> None:
        """Wait for handshakes under way, HANDSHAKES_END at most, then cancel them."""
        if self._handshakes:
            _, late = await asyncio.wait(self._handshakes, timeout=HANDSHAKES_END)
            for task in late:
                task.cancel()

    def crowd_has_gone(self, connections: int) -> bool:
        """Tell once after each crowd that it has gone; `connections` are past their handshakes."""
        return self._crowd.has_gone(connections + len(self._handshakes))

    def report(self) -> None:
        """Log who was refused, by the limits or as plain HTTP: the first at once, then once a minute."""
        if self._refused and self._is_news("refused"):
            full, share = self._refused["full"], self._refused["share"]
            log.warning("server.connections_refused", full=full, share=share, latest=self._last_refused)
            self._refused.clear()
        if self._plain and self._is_news("plain"):
            log.warning("server.plain_http", clients=self._plain)
            self._plain = 0

    def _count_plain_http(self) -> None:
        self._plain += 1
        self._refusals["plain_http"] += 1

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
            except ConnectionAbortedError:  # the client gave up while waiting in the backlog
                continue
            except OSError as error:
                self._pause(error)
                return
            host = address[0] if isinstance(address, tuple) else ""
            refusal = self._quota.enter(host)
            if refusal is None:
                self._admit(connection, host)
            else:
                self._refused[refusal] += 1
                self._refusals[CONNECTION_CODES[refusal]] += 1
                self._last_refused = host
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                connection.close()

    def _admit(self, connection: socket.socket, host: str) -> None:
        weakref.finalize(connection, self._quota.leave, host).atexit = False
        self._crowd.saw(self._quota.present)
        connection.setblocking(False)
        if self._is_narrow and self._quota.held_by(host) <= WIDE:
            widen(connection)
        task = self._loop.create_task(self._shake_hands(connection))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection, **self._tls)
        except OSError:  # the handshake failed or took too long: the client's fault, not logged
            connection.close()

    def _pause(self, error: OSError) -> None:
        # Out of descriptors or memory: connections stay in the kernel's queue and are accepted after a pause.
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
