"""An answer in one piece: uvicorn writes the head and the body of an answer apart.

Each write is a call into the kernel and a segment on the wire; docs/performance.md has what the second one cost.
"""

from http import HTTPStatus

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

JSON_TYPE = (b"content-type", b"application/json")


async def send_json(body: bytes, send: Send) -> None:
    """Send 200 with this body of JSON: in one write where `send` is uvicorn's own, else as ASGI's two messages."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": [length, JSON_TYPE]})
        await send({"type": "http.response.body", "body": body})
        return
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    headers = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
    end = b"" if cycle.keep_alive else b"connection: close\r\n"
    cycle.transport.write(
        b"%b%bcontent-length: %d\r\ncontent-type: application/json\r\n%b\r\n%b"
        % (STATUS_LINE[HTTPStatus.OK], headers, len(body), end, body)
    )
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
