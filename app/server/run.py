"""Run uvicorn in this process: bind, serve, reload the certificate, leave in time."""

import asyncio
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn._types import ASGIApplication

from app.core.clock import SystemClock
from app.core.console import Terminal, complain
from app.core.exit_codes import Exit
from app.core.setting_sources import environment
from app.domain.errors import StartRefused
from app.domain.quotas import ConnectionQuota, LineQuota
from app.server.acceptor import Acceptor
from app.server.guard import GuardedProtocol, sweep
from app.server.lifespan import Lifespan
from app.server.listener import Listener, bind, busy, url
from app.server.memory import fit_memory, give_back
from app.server.open_files import make_room
from app.server.systemd import Supervisor, until
from app.server.timeouts import Timeouts

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext

log = structlog.get_logger(__name__)

TICK = 1.0  # s between two looks of the main loop, which writes the Date header; uvicorn takes ten for each
WATCH_EVERY = 2.0  # seconds; a pair is served at the second look that finds it unchanged
SETTLING, SETTLED_EVERY = 3.0, 0.02  # s that the banner waits for what it tells of, and between two looks
FLUSH_END = 300.0  # seconds; the sweep ends a TLS close much sooner, unless an answer is still being sent
# These and `lifespan.SHUTDOWN_BY` stay below the 10 s in which the process must end after SIGTERM.
REQUESTS_END = 5  # seconds for requests under way
CEILING = 9.0  # seconds after which the exit is forced
BODIES_OVER = 4  # times the largest body: chunk framing, and what a client sends before it reads our 413
NO_GUESSING = ("x-content-type-options", "nosniff")
ALWAYS_TLS = ("strict-transport-security", "max-age=63072000")  # two years, as Mozilla recommends


class Server(uvicorn.Server):
    """uvicorn's server on a given socket, with its own signal handling and tasks: sweep, certificate watch, watchdog.

    What the application tells it stands in the Hooks that its lifespan yields.
    """

    lifespan: Lifespan

    def __init__(
        self, config: uvicorn.Config, listener: Listener, bound: socket.socket, on_ready: Callable[[str], None] | None
    ) -> None:
        super().__init__(config)
        self.listener = listener
        self.refused: StartRefused | None = None
        self._bound = bound
        self._acceptor: Acceptor
        self._on_ready = on_ready
        self._clock = SystemClock()
        self._timeouts = Timeouts.of(listener.client_timeout)
        self._chores: set[asyncio.Task[None]] = set()
        self._supervisor = Supervisor.of(environment())
        self._terminal = Terminal()
        self._leaving = asyncio.Event()
        self._ceiling = threading.Timer(CEILING, _leave_now)
        self._ceiling.daemon = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 uvicorn's signature
        """Start the application, then listen. uvicorn's own method cannot set the TLS timeouts."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.refused, self.should_exit = self.lifespan.refused, True
            return
        tls = self.listener.tls
        options: dict[str, Any] = {}
        if tls is not None:
            options = {
                "ssl": self.config.ssl,
                "ssl_handshake_timeout": self._timeouts.asking,
                "ssl_shutdown_timeout": FLUSH_END,
            }
        hooks = self.lifespan.hooks
        lines = cast("type[GuardedProtocol]", self.config.http_protocol_class).lines
        if lines is not None:
            lines.counted = hooks.refusals
        quota = ConnectionQuota(self.listener.max_connections, self.listener.spared, hooks.is_expected)
        acceptor = Acceptor(self._bound, quota, self._protocol, options, hooks.refusals)
        try:
            acceptor.open(self.config.backlog)
        except OSError as error:  # another process had bound the same port and listened first
            self.refused, self.should_exit = busy(self.listener, error), True
            await self.lifespan.shutdown()
            return
        self.servers = [cast("asyncio.Server", acceptor)]
        self._acceptor = acceptor
        self.server_state.default_headers = self.config.encoded_headers
        self._start(self._sweep(), "sweep")
        if tls is not None:
            self._start(self._watch(tls), "certificate watch")
        self.started = True
        here = url(self.listener, self._bound)
        self._start(self._announce(here), "announcement")
        self._start(self._supervisor.keep_posted(hooks.is_alive), "signs of life")
        if self._on_ready is not None:
            self._start(self._greet(self._on_ready, here), "greeting")

    def _protocol(self) -> asyncio.Protocol:
        return cast("type[GuardedProtocol]", self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _start(self, chore: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(chore, name=name)
        self._chores.add(task)
        task.add_done_callback(_report)

    async def main_loop(self) -> None:
        """Tick once a second until `stop` ends the wait. uvicorn's own method wakes ten times for each tick."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._leaving.wait()

    async def _announce(self, here: str) -> None:
        await until(self.lifespan.hooks.is_ready)
        self._supervisor.ready(f"receiving on {here}")

    async def _greet(self, on_ready: Callable[[str], None], here: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLING):
                await until(self.lifespan.hooks.is_settled, lambda _: asyncio.sleep(SETTLED_EVERY))
        on_ready(here)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timeouts.every)
            # uvicorn types the set for every protocol it knows; ours is the only one configured.
            connections = cast("set[GuardedProtocol]", self.server_state.connections)
            if late := sweep(connections, loop.time(), self._timeouts):
                log.warning("server.slow_clients_cut", connections=late)
            if self._acceptor.crowd_has_gone(len(connections)):
                await asyncio.to_thread(give_back)
            self._acceptor.report()

    async def _watch(self, tls: "LiveContext") -> None:
        was_well = True
        while True:
            await asyncio.sleep(WATCH_EVERY)
            try:
                await asyncio.to_thread(tls.refresh, self._clock.now())
            except Exception:  # after any error the watch must go on, or later renewals would be missed
                if was_well:
                    log.exception("certificate.look_broke")
                was_well = False
            else:
                was_well = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish requests under way, close idle connections, shut the application down, cancel the tasks."""
        self._timeouts = self._timeouts.at_shutdown()
        cast("type[GuardedProtocol]", self.config.http_protocol_class).leaving = True
        await super().shutdown(sockets)
        if not self.lifespan.shutdown_event.is_set():  # uvicorn leaves it out when told twice: claims would stay taken
            await self.lifespan.shutdown()
        for chore in self._chores:
            chore.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, reload on SIGHUP. uvicorn's own method raises the signal again at the end."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        yield

    def stop(self) -> None:
        """Stop in good order; when called again, stop without waiting for connections."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        self._leaving.set()
        self._supervisor.stopping()
        self._ceiling.start()
        self.lifespan.stop_began = asyncio.get_running_loop().time()
        self.lifespan.hooks.on_stop()

    def reload(self) -> None:
        """Serve the certificate that the files hold now; stop where SIGHUP says that our terminal was closed."""
        if self._terminal.is_gone():
            log.warning("server.terminal_closed")
            self.stop()
            return
        self._supervisor.reloading()
        try:
            if self.listener.tls is not None:
                self.listener.tls.reload(self._clock.now())
        finally:  # systemd ends a process that never reports the end of a reload
            self._supervisor.reloaded()

    def rest(self) -> None:
        """Cancel the timer of the forced exit: the orderly stop is done."""
        self._ceiling.cancel()


def serve(
    app: ASGIApp,
    listener: Listener,
    on_ready: Callable[[str], None] | None = None,
    inherited: socket.socket | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code: 0 after an orderly end, 78 refused to start, 1 failed to.

    Why it refused stands on stderr, a line per cause. `on_ready` is called once with the URL, when connections are
    accepted and the hooks say that things are settled, SETTLING later at most; a wildcard host is shown as loopback
    there. An `inherited` socket is listened on instead of host and port.
    """
    try:
        bound = bind(listener) if inherited is None else inherited
    except StartRefused as refused:
        return _refuse(refused)
    listener = replace(listener, max_connections=make_room(fit_memory(listener.max_connections)))
    with bound:
        server = Server(_config(app, listener), listener, bound, on_ready)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve())
        finally:
            server.rest()
    if server.refused is not None:
        return _refuse(server.refused)
    return Exit.OK if server.started else Exit.CHECK_FAILED


def _config(app: ASGIApp, listener: Listener) -> uvicorn.Config:
    class Protocol(GuardedProtocol):
        __slots__ = ()
        most_bytes = BODIES_OVER * listener.max_body_bytes
        lines = LineQuota(_on_the_loop, _tell_muted)

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
        headers=[NO_GUESSING] if tls is None else [NO_GUESSING, ALWAYS_TLS],
        workers=1,
        backlog=listener.backlog,
        timeout_keep_alive=listener.keep_alive,
        timeout_graceful_shutdown=REQUESTS_END,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
    )
    config.load()
    config.lifespan_class = Lifespan
    return config


def _on_the_loop(seconds: float, act: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, act)


def _tell_muted(name: str, muted: Counter[str]) -> None:
    log.warning("http.muted", address=name or None, lines=muted.total(), codes=dict(muted))


def _refuse(refused: StartRefused) -> int:
    complain(f"{refused}\n")
    return Exit.CONFIG


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("server.task_died", task=task.get_name(), exc_info=error)


def _leave_now() -> None:
    log.error("server.shutdown_forced", seconds=CEILING)
    os._exit(Exit.OK)
