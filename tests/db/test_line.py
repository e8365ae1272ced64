"""A server that hangs: its connection is cut, and nothing else is."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import pytest
from sqlalchemy import text

from app.db import engine
from app.db.engine import Connection
from app.domain.errors import DatabaseUnavailable
from tests.db.opening import NO_ANSWER, SHORT, TOGETHER, Hang, opened, touch

pytestmark = pytest.mark.anyio


def backend(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


@contextmanager
def frozen() -> Iterator[Callable[[Connection], None]]:
    """A function whose backend is stopped before it answers, and goes on afterwards."""
    stopped: list[int] = []

    def ask(connection: Connection) -> None:
        pid = backend(connection)
        stopped.append(pid)
        try:
            os.kill(pid, signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            pytest.skip("the server is not ours to stop")
        connection.execute(text("SELECT 1"))

    try:
        yield ask
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


# A server that is mute


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("reading", [False, True])
async def test_a_hung_server_holds_no_thread(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, reading: bool, is_left: bool
) -> None:
    """Its connection is shut down at the deadline, whether the caller still waits or not (fault 9)."""
    for name in ("WRITERS", "READERS"):
        monkeypatch.setattr(engine, name, 1)
    async with opened(postgres_url) as database:
        run = database.read if reading else database.write
        await run(backend)
        monkeypatch.setattr(engine, "PATIENCE", SHORT)
        with frozen() as ask:
            hung = asyncio.ensure_future(run(ask))
            if is_left:
                await asyncio.wait([hung], timeout=SHORT / 2)
                hung.cancel()
            await asyncio.gather(hung, return_exceptions=True)
            monkeypatch.setattr(engine, "PATIENCE", TOGETHER)
            assert await run(backend)
        assert hung.cancelled() if is_left else NO_ANSWER in str(hung.exception())


async def test_after_a_mute_connection_none_of_its_age_is_used(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open connections would cost the patience each; a fresh one costs none (fault 10)."""
    barrier = threading.Barrier(3, timeout=TOGETHER)

    def meet(connection: Connection) -> int:
        barrier.wait()
        return backend(connection)

    async with opened(postgres_url) as database:
        old = await asyncio.gather(*(database.write(meet) for _ in range(3)))
        monkeypatch.setattr(engine, "PATIENCE", SHORT)
        with frozen() as ask, pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
            await database.write(ask)
        monkeypatch.undo()
        new = await asyncio.gather(*(database.write(meet) for _ in range(3)))
    assert len({*old, *new}) == 6


@pytest.mark.usefixtures("short")
async def test_a_cut_never_hits_somebody_elses_descriptor(postgres_url: str, hang: Hang) -> None:
    """The connection's number may be a client's by then: what is shut down is a copy of its own."""
    with ExitStack() as stack:
        client, server = (stack.enter_context(end) for end in socket.socketpair())

        def take_over(connection: Connection) -> None:
            driver = connection.connection.driver_connection
            assert driver is not None
            number = driver.fileno()
            driver.close()
            os.dup2(client.fileno(), number)
            stack.callback(os.close, number)
            hang.hold()

        async with opened(postgres_url) as database:
            with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
                await database.write(take_over)
        hang.end.set()
        client.send(b"still here")
        assert server.recv(10) == b"still here"


@asynccontextmanager
async def mute_server() -> AsyncIterator[tuple[str, list[object]]]:
    """Let in, and say nothing more: a host that froze in the middle."""
    met: list[object] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer)
        await reader.read(1)
        writer.write(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=disable&gssencmode=disable", met


async def test_a_server_that_is_mute_at_the_first_question_holds_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the dialect asks first can hang as well: it is shut down, and the thread connects anew (fault 9)."""
    monkeypatch.setattr(engine, "WRITERS", 1)
    monkeypatch.setattr(engine, "PATIENCE", SHORT)
    async with mute_server() as (url, met), opened(url) as database:
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
                await touch(database)
    assert len(met) == 2
