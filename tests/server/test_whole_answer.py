"""An answer in one piece: the same bytes as uvicorn's, in one write."""

import asyncio
import logging
from typing import Any, cast

import pytest
from starlette.types import Message, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.server.whole_answer import send_json

pytestmark = pytest.mark.anyio

HEADERS = [(b"date", b"Mon, 30 Nov 2026 12:00:00 GMT"), (b"x-content-type-options", b"nosniff")]
BODY = b'{"status":"received"}'


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it, and when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append(b"closed")

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Request:
    """uvicorn's side of one request, whose answer goes to `wire`."""

    def __init__(self, *, keep_alive: bool) -> None:
        self.wire = Wire()
        self.flow = FlowControl(self.wire)
        self.ended = 0
        logger = logging.getLogger("test")
        self.cycle = RequestResponseCycle(
            cast("Any", {"method": "POST"}), self.wire, self.flow, logger, logger, access_log=False,
            default_headers=HEADERS, message_event=asyncio.Event(), expect_100_continue=False, keep_alive=keep_alive,
            on_response=self._end,
        )  # fmt: skip

    @property
    def send(self) -> Send:
        """What the application is given: the same method, typed by two projects."""
        return cast("Send", self.cycle.send)

    def _end(self) -> None:
        self.ended += 1


async def in_two_messages(body: bytes, request: Request) -> None:
    async def send(message: Message) -> None:
        await request.cycle.send(cast("Any", message))

    await send_json(body, send)


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_the_bytes_are_those_of_the_two_messages(keep_alive: bool) -> None:
    """Whole or in two messages: the same bytes, the connection closed afterwards or not."""
    whole, apart = Request(keep_alive=keep_alive), Request(keep_alive=keep_alive)
    await send_json(BODY, whole.send)
    await in_two_messages(BODY, apart)
    assert b"".join(whole.wire.written) == b"".join(apart.wire.written)
    assert len(whole.wire.written) == len(apart.wire.written) - 1 == (1 if keep_alive else 2)


async def test_the_request_has_ended() -> None:
    """After it the request counts as answered, once, and whoever waits for more of it is woken."""
    request = Request(keep_alive=True)
    await send_json(BODY, request.send)
    assert (request.ended, request.cycle.response_complete, request.cycle.message_event.is_set()) == (1, True, True)
    with pytest.raises(RuntimeError, match="after response already completed"):
        await request.cycle.send({"type": "http.response.body", "body": b"more", "more_body": False})


async def test_a_client_that_is_gone_gets_nothing() -> None:
    """A client that went away meanwhile is written nothing."""
    request = Request(keep_alive=True)
    request.cycle.disconnected = True
    await send_json(BODY, request.send)
    assert (request.wire.written, request.ended) == ([], 0)


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    """Where the client does not read, the answer waits until it does."""
    request = Request(keep_alive=True)
    request.flow.pause_writing()
    sending = asyncio.create_task(send_json(BODY, request.send))
    await asyncio.sleep(0)
    assert request.wire.written == []
    request.flow.resume_writing()
    await sending
    assert len(request.wire.written) == 1
