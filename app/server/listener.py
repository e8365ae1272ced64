"""The address to listen on, its socket, and the messages for when that fails."""

import errno
import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.catalog import translate
from app.domain.errors import StartRefused
from app.domain.language import Language, msgid

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded: a tenth of the memory
    from app.tls.live import LiveContext

LOOPBACK = ("127.0.0.1", "::1")
READ_AHEAD = 32 * 1024  # bytes; so 1 MiB comes in 7 s from 200 ms away
NARROW = 8 * 1024  # bytes; so 100 KiB come in 3 s from there
TCP_WINDOW_CLAMP = 10  # linux/tcp.h; without it kernels before 6.9 keep the window that the connection began with
# The largest body, in bytes, and the CLIENT_TIMEOUT, in seconds, for which so small a receive buffer is fast enough.
USUAL_BODY = 1 << 20
USUAL_PATIENCE = 15.0

BUSY = msgid("API_PORT={port}: port {port} of {host} is taken already. To see by whom: {who}")
BARRED = msgid(
    "API_PORT={port}: cannot listen on {host}:{port} ({reason}). Check API_HOST and API_PORT; who listens: {who}"
)
FOREIGN = msgid(
    "API_HOST={host}: this machine has no such address ({reason}). Its own: ip -br addr; 0.0.0.0 stands for all"
)
NOT_OURS = frozenset({errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENODEV, errno.EAFNOSUPPORT})


@dataclass(frozen=True, slots=True)
class Listener:
    """Where and how to listen: `port` 0 takes a free one, `tls` is loaded already or None for plain HTTP, times in s.

    `client_timeout` bounds the handshake, the header, the body, the idle time before them and the reading of an answer.
    At most `max_connections` at once, and a share of them per address, but for `spared`: addresses and networks.
    """

    host: str
    port: int
    tls: "LiveContext | None"
    client_timeout: float = 15.0
    max_body_bytes: int = 1 << 20
    keep_alive: int = 30
    backlog: int = 2048
    max_connections: int = 1000
    spared: tuple[str, ...] = LOOPBACK
    language: Language = "ru"


def narrow(bound: socket.socket, listener: Listener) -> socket.socket:
    """Set a small receive buffer for the connections of this socket, and return it; `widen` enlarges it for one.

    Otherwise a client that sends without pause is read 256 KiB at a time, and TLS then holds three times that in memory
    for the rest of the connection.
    """
    if listener.max_body_bytes <= USUAL_BODY * min(1.0, listener.client_timeout / USUAL_PATIENCE):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    return bound


def is_narrow(bound: socket.socket) -> bool:
    """Tell whether the connections of this socket begin with the small buffer; the kernel shows twice what was set."""
    return bound.family != socket.AF_UNIX and bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * NARROW


def widen(connection: socket.socket) -> None:
    """Let the client be READ_AHEAD bytes ahead of what is read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_AHEAD)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, READ_AHEAD)


def bind(listener: Listener) -> socket.socket:
    """Bind the port without listening yet; raises StartRefused naming the port and how to find who has it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host or None, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise busy(listener, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise busy(listener, error) from error
    return narrow(bound, listener)


def busy(listener: Listener, error: OSError) -> StartRefused:
    """Build the error for a port that could not be bound."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    is_foreign = isinstance(error, socket.gaierror) or error.errno in NOT_OURS
    words = BUSY if error.errno == errno.EADDRINUSE else FOREIGN if is_foreign else BARRED
    who = f"ss -ltnp 'sport = :{listener.port}'"
    return StartRefused(
        [translate(words, listener.language).format(host=listener.host, port=listener.port, reason=reason, who=who)]
    )


def url(listener: Listener, bound: socket.socket) -> str:
    """Return the URL under which the server is reached from this machine; `unix:PATH` for an inherited Unix socket."""
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)  # noqa: S104 shown  # nosec B104
    scheme = "http" if listener.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
