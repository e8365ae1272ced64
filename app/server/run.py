"""Run uvicorn in this process: bind, serve, reload the certificate, leave in time."""

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn._types import ASGIApplication
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from app.domain.errors import StartRefused
from app.server.guard import GuardedProtocol, Patience, sweep
from app.tls.certificates import Language
from app.tls.live import LiveContext

log = structlog.get_logger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_CONFIG = 0, 1, 78
WATCH_EVERY = 2.0  # seconds; a pair is served at the second look that finds it unchanged
FLUSH_END = 300.0  # seconds; the sweep ends a TLS goodbye far sooner, unless an answer still flows
# Together below the 10 s in which SIGTERM must be obeyed.
REQUESTS_END = 5  # seconds for requests under way
LIFESPAN_END = 3.0  # seconds for the application's own farewell
CEILING = 9.0  # seconds after which the exit is forced
BODIES_OVER = 4  # times the largest body: chunk framing, and what a client sends before it reads our 413

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
    """

    host: str
    port: int
    tls: LiveContext | None
    client_timeout: float = 15.0
    max_body_bytes: int = 1 << 20
    keep_alive: int = 30
    backlog: int = 2048
    language: Language = "ru"


class Lifespan(LifespanOn):
    """The application's start and farewell; `refused` is why it would not start, when that was deliberate."""

    refused: StartRefused | None = None

    async def send(self, message: LifespanSendMessage) -> None:
        """Take the application's word; Starlette reports a failed start from inside its except clause."""
        cause = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(cause, StartRefused):
            self.refused = cause
            message = {"type": "lifespan.startup.failed", "message": ""}
        await super().send(message)

    async def shutdown(self) -> None:
        """Let the application say goodbye, but not for ever."""
        try:
            async with asyncio.timeout(LIFESPAN_END):
                await super().shutdown()
        except TimeoutError:
            log.warning("server.farewell_too_slow", seconds=LIFESPAN_END)


class Server(uvicorn.Server):
    """uvicorn's server with our socket, our signals and two tasks of its own: the sweep and the certificate watch."""

    lifespan: Lifespan

    def __init__(
        self, config: uvicorn.Config, listener: Listener, bound: socket.socket, on_ready: Callable[[str], None] | None
    ) -> None:
        super().__init__(config)
        self.listener = listener
        self.refused: StartRefused | None = None
        self._bound = bound
        self._on_ready = on_ready
        self._patience = Patience.of(listener.client_timeout)
        self._chores: set[asyncio.Task[None]] = set()
        self._ceiling = threading.Timer(CEILING, _leave_now)
        self._ceiling.daemon = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 uvicorn's signature
        """Start the application, then listen. uvicorn's own version cannot set the TLS timeouts."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.refused, self.should_exit = self.lifespan.refused, True
            return
        tls = self.listener.tls
        timeouts: dict[str, Any] = {}
        if tls is not None:
            timeouts = {
                "ssl_handshake_timeout": self._patience.asking,
                "ssl_shutdown_timeout": FLUSH_END,
            }
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                self._protocol, sock=self._bound, ssl=self.config.ssl, backlog=self.config.backlog, **timeouts
            )
        except OSError as error:  # somebody bound the same port without listening yet, and was quicker
            self.refused, self.should_exit = _busy(self.listener, error), True
            await self.lifespan.shutdown()
            return
        self.servers = [server]
        self._start(self._sweep(), "sweep")
        if tls is not None:
            self._start(self._watch(tls), "certificate watch")
        self.started = True
        if self._on_ready is not None:
            self._on_ready(_url(self.listener, self._bound))

    def _protocol(self) -> asyncio.Protocol:
        return cast("type[GuardedProtocol]", self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _start(self, chore: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(chore, name=name)
        self._chores.add(task)
        task.add_done_callback(_report)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._patience.every)
            # uvicorn types the set for every protocol it knows; ours is the only one configured.
            connections = cast("set[GuardedProtocol]", self.server_state.connections)
            if late := sweep(connections, loop.time(), self._patience):
                log.warning("server.slow_clients_cut", connections=late)

    async def _watch(self, tls: LiveContext) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            await asyncio.to_thread(tls.refresh)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way, let go of what is idle, say goodbye to the application."""
        self._patience = self._patience.at_shutdown()
        cast("type[GuardedProtocol]", self.config.http_protocol_class).leaving = True
        await super().shutdown(sockets)
        for chore in self._chores:
            chore.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, reload on SIGHUP. uvicorn's own version raises the signal again at the end."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        yield

    def stop(self) -> None:
        """Leave in good order; asked a second time, without waiting for anybody."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        self._ceiling.start()

    def reload(self) -> None:
        """Serve the certificate that the files hold now."""
        if self.listener.tls is not None:
            self.listener.tls.reload()

    def rest(self) -> None:
        """Call off the forced exit: the orderly one is done."""
        self._ceiling.cancel()


def serve(
    app: ASGIApp,
    listener: Listener,
    on_ready: Callable[[str], None] | None = None,
    inherited: socket.socket | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code: 0 after an orderly end, 78 refused to start, 1 failed to.

    Why it refused stands on stderr, a line per cause. `on_ready` is called once with the URL, when connections are
    taken; a wildcard host is shown as loopback there. An `inherited` socket is listened on instead of host and port.
    """
    try:
        bound = bind(listener) if inherited is None else inherited
    except StartRefused as refused:
        return _refuse(refused)
    with bound:
        server = Server(_config(app, listener), listener, bound, on_ready)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve())
        finally:
            server.rest()
    if server.refused is not None:
        return _refuse(server.refused)
    return EXIT_OK if server.started else EXIT_FAILED


def bind(listener: Listener) -> socket.socket:
    """Take the port without listening on it yet; raises StartRefused naming the port and who may have it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host or None, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _busy(listener, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _busy(listener, error) from error
    return bound


def _config(app: ASGIApp, listener: Listener) -> uvicorn.Config:
    class Protocol(GuardedProtocol):
        __slots__ = ()
        most_bytes = BODIES_OVER * listener.max_body_bytes

    tls = listener.tls
    config = uvicorn.Config(
        cast("ASGIApplication", app),  # the same protocol, typed by two projects
        http=Protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        forwarded_allow_ips=[],
        server_header=False,
        workers=1,
        backlog=listener.backlog,
        timeout_keep_alive=listener.keep_alive,
        timeout_graceful_shutdown=REQUESTS_END,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
    )
    config.load()
    config.lifespan_class = Lifespan
    return config


def _busy(listener: Listener, error: OSError) -> StartRefused:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    words = (BUSY if error.errno == errno.EADDRINUSE else BARRED)[listener.language]
    who = f"ss -ltnp 'sport = :{listener.port}'"
    return StartRefused([words.format(host=listener.host, port=listener.port, reason=reason, who=who)])


def _refuse(refused: StartRefused) -> int:
    sys.stderr.write(f"{refused}\n")
    return EXIT_CONFIG


def _url(listener: Listener, bound: socket.socket) -> str:
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)  # noqa: S104 shown, not bound
    scheme = "http" if listener.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("server.task_died", task=task.get_name(), exc_info=error)


def _leave_now() -> None:
    log.error("server.shutdown_forced", seconds=CEILING)
    os._exit(EXIT_OK)
