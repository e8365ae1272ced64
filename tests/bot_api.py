"""A Bot API server in a few lines: it answers what a test tells it to and remembers what it was asked."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

HANG = (0, b"")  # take the request and say nothing
CUT = (-1, b"")  # take the request and hang up


def ok(message_id: int = 7) -> tuple[int, bytes]:
    return 200, json.dumps({"ok": True, "result": {"message_id": message_id, "new_field": {"?": []}}}).encode()


def no(code: int, description: str, **parameters: Any) -> tuple[int, bytes]:
    envelope = {"ok": False, "error_code": code, "description": description}
    return code, json.dumps(envelope | ({"parameters": parameters} if parameters else {})).encode()


class BotApi:
    """A Bot API server that gives the answers it was told to, then `ok`, and remembers what it was asked."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.heard = asyncio.Event()
        self.release = asyncio.Event()
        self.open = self.most_open = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.left_alone = asyncio.Event()  # nobody is connected any more
        self.url = ""
        self.headers = ""  # of every answer, each line with its end

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.writers.add(writer)
        self.left_alone.clear()
        try:
            while await self.answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self.writers.discard(writer)
            writer.close()
            if not self.open:
                self.left_alone.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.asked.append((head[0], _fields(headers["content-type"], body)))
        self.heard.set()
        status, answer = self.answers.pop(0) if self.answers else ok()
        if (status, answer) == HANG:
            await self.release.wait()
        if status <= 0:
            return False
        head_of_answer = f"HTTP/1.1 {status} X\r\n{self.headers}Content-Length: {len(answer)}\r\n\r\n"
        writer.write(head_of_answer.encode() + answer)
        await writer.drain()
        return True


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    """Read a body of JSON, or a multipart one: its parts as bytes, by name."""
    if content_type == "application/json":
        fields: dict[str, Any] = json.loads(body)
        return fields
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in form.iter_parts()
    }


@asynccontextmanager
async def bot_api(*answers: tuple[int, bytes], context: ssl.SSLContext | None = None) -> AsyncIterator[BotApi]:
    api = BotApi(*answers)
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0, ssl=context)
    api.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        api.release.set()
        server.close()
        await server.wait_closed()
