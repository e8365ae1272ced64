"""A relay between the server and PostgreSQL that can fall silent, as a network does that loses its state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes bytes on. `drop` makes the connections of that moment silent for ever: nothing passes, nothing closes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @property
    def connections(self) -> int:
        return len(self._open)

    def drop(self) -> int:
        """Silence every connection there is; new ones work. Return how many fell silent."""
        for passing in self._open:
            passing.clear()
        dropped, self._open = len(self._open), []
        return dropped

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Relay"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers += [writer, far_writer]
        passing = asyncio.Event()
        passing.set()
        self._open.append(passing)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(_pass(source, sink, passing))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            await passing.wait()  # silent for ever once it is cleared
            sink.write(chunk)
            await sink.drain()
    if passing.is_set():
        sink.close()
