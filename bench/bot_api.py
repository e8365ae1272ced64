"""A Bot API that takes every call and costs next to nothing: `python -m bench.bot_api` prints its URL when it is ready.

The Telegram twin reads and judges each call, which keeps a core busy before a telling process does: what would be
measured is the twin. Here a call is noted with its moment and answered as sent; GET /_twin/log tells them, as there.
"""

import asyncio
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import orjson
import uvloop
from httptools import HttpRequestParser

from bench.versions import OURS

WITHIN = 20  # s
LOG = b"/_twin/log"
ME = {"id": 123456789, "is_bot": True, "first_name": "Aisha", "username": "aisha_bot"}


class Answers(asyncio.Protocol):
    """One connection; `calls` holds the moments of all of them."""

    def __init__(self, calls: list[float]) -> None:
        self._calls = calls
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Remember which method is called."""
        self._url = url

    def on_message_complete(self) -> None:
        """Count the call and answer it."""
        answer: dict[str, object]
        if self._url == LOG:
            answer = {"calls": [{"at": at} for at in self._calls]}
        elif self._url.endswith(b"/getMe"):
            answer = {"ok": True, "result": ME}
        else:
            self._calls.append(time.time())
            chat = {"id": 1, "type": "private"}
            answer = {"ok": True, "result": {"message_id": len(self._calls), "date": 0, "chat": chat}}
        body = orjson.dumps(answer)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def serve() -> None:
    """Serve on loopback until SIGTERM."""
    calls: list[float] = []
    server = await asyncio.get_running_loop().create_server(lambda: Answers(calls), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def bot_api(scratch: Path) -> Iterator[str]:
    """Run it in a process of its own; yields its URL."""
    command = [OURS.python, "-m", "bench.bot_api"]
    process = subprocess.Popen(command, cwd=OURS.root, env=OURS.environ(scratch), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], WITHIN)[0]:
            raise TimeoutError("the Bot API did not start")
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    uvloop.run(serve())
