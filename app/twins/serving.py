"""Run an ASGI app on a loopback port inside the current event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

LOOPBACK: Final = "127.0.0.1"
STOP_SECONDS: Final = 2  # after that, requests still open are cancelled


class _LoopServer(uvicorn.Server):
    """uvicorn as a guest: leaves signals to the host program, and stops when told instead of polling."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stopping.wait()


@contextlib.asynccontextmanager
async def serve(
    app: ASGIApp,
    *,
    port: int = 0,
    before_stop: Callable[[], None] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[str, None]:
    """Serve `app` on 127.0.0.1 and yield its base URL without a trailing slash.

    Port 0 takes a free one; `tls` makes it HTTPS. `before_stop` is called first on the way out: a twin releases its
    hung requests there. Answers carry no Date or Server header of uvicorn's. Raises OSError when the port is taken.
    """
    listener = _listen(port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    server = _LoopServer(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="twin")
    await server.ready.wait()
    try:
        yield f"{'http' if tls is None else 'https'}://{LOOPBACK}:{listener.getsockname()[1]}"
    finally:
        if before_stop is not None:
            before_stop()
        server.stopping.set()
        await running


def _listen(port: int) -> socket.socket:
    # Named TCP, because asyncio sets TCP_NODELAY only then; without it each answer waits 40 ms for a delayed ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    return listener
