"""Where and how to listen, and what to say when that is not possible."""

import errno
import os
import socket
from dataclasses import dataclass

from app.domain.errors import StartRefused
from app.domain.language import Language
from app.tls.live import LiveContext

LOOPBACK = ("127.0.0.1", "::1")
READ_AHEAD = 64 * 1024  # bytes; so 1 MiB comes in 3 s from 200 ms away
USUAL_BODY = 1 << 20  # larger ones would not come in time like that,
USUAL_PATIENCE = 15.0  # nor these in less time, CLIENT_TIMEOUT

BUSY = {
    "ru": "API_PORT={port}: порт {port} на {host} уже занят. Узнать, кем: {who}",
    "en": "API_PORT={port}: port {port} of {host} is taken already. To see by whom: {who}",
}
BARRED = {
    "ru": "API_PORT={port}: нельзя слушать {host}:{port} ({reason}). Проверьте API_HOST, API_PORT; кто слушает: {who}",
    "en": "API_PORT={port}: cannot listen on {host}:{port} ({reason}). Check API_HOST and API_PORT; who listens: {who}",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """Where and how to listen: `port` 0 takes a free one, `tls` is loaded already or None for plain HTTP, times in s.

    `client_timeout` bounds the handshake, the header, the body, the silence before them and the taking of an answer.
    `max_connections` are held at once, of them one address its share, unless it is of `spared`: addresses and networks.
    """

    host: str
    port: int
    tls: LiveContext | None
    client_timeout: float = 15.0
    max_body_bytes: int = 1 << 20
    keep_alive: int = 30
    backlog: int = 2048
    max_connections: int = 1000
    spared: tuple[str, ...] = LOOPBACK
    language: Language = "ru"


def narrow(bound: socket.socket, listener: Listener) -> socket.socket:
    """Have the kernel take in little of each connection ahead of us, and return the socket.

    A client that sends without pause is read 256 KiB at a time otherwise, and TLS keeps room for three times that as
    long as the connection lives.
    """
    if listener.max_body_bytes <= USUAL_BODY * min(1.0, listener.client_timeout / USUAL_PATIENCE):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_AHEAD)
    return bound


def bind(listener: Listener) -> socket.socket:
    """Take the port without listening on it yet; raises StartRefused naming the port and who may have it."""
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
    """Word why the port could not be taken."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    words = (BUSY if error.errno == errno.EADDRINUSE else BARRED)[listener.language]
    who = f"ss -ltnp 'sport = :{listener.port}'"
    return StartRefused([words.format(host=listener.host, port=listener.port, reason=reason, who=who)])


def url(listener: Listener, bound: socket.socket) -> str:
    """Return where it can be tried from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)  # noqa: S104 shown  # nosec B104
    scheme = "http" if listener.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
