"""Requests that two parsers may read in two ways: each gets one answer, and what it hides is never asked (fault 35)."""

import json
import re
from collections.abc import Iterator

import pytest

from app.server.listener import Listener
from tests.process.listening import Running, drain, running

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"


def post(fields: bytes, body: bytes, version: bytes = b"HTTP/1.1", line: bytes = b"POST /") -> bytes:
    return line + b" " + version + b"\r\nHost: localhost\r\n" + fields + b"\r\n" + body


def length(value: bytes | int, name: bytes = b"Content-Length") -> bytes:
    return name + b": " + (b"%d" % value if isinstance(value, int) else value) + b"\r\n"


WHOLE = len(LAST + HIDDEN)

# Each hides a request: where one parser sees the end of the first, another sees it go on.
PROBES = {
    # length against chunks
    "length and chunks": post(length(WHOLE) + CHUNKED, LAST + HIDDEN),
    "chunks and length": post(CHUNKED + length(WHOLE), LAST + HIDDEN),
    "length short of chunks": post(length(4) + CHUNKED, b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n" + LAST),
    "two lengths": post(length(0) + length(len(HIDDEN)), HIDDEN),
    "two lengths, the longer first": post(length(len(HIDDEN)) + length(0), HIDDEN),
    "two equal lengths": post(length(len(HIDDEN)) * 2, HIDDEN),
    "a list of lengths": post(length(b"0, %d" % len(HIDDEN)), HIDDEN),
    # lengths that are not numbers
    "length with a plus": post(length(b"+%d" % len(HIDDEN)), HIDDEN),
    "length with a minus": post(length(b"-0"), HIDDEN),
    "length in hex": post(length(b"0x%x" % len(HIDDEN)), HIDDEN),
    "length with an underscore": post(length(b"0_%d" % len(HIDDEN)), HIDDEN),
    "length with a point": post(length(b"0.0"), HIDDEN),
    "length in words": post(length(b"zero"), HIDDEN),
    "length with a blank inside": post(length(b"0 %d" % len(HIDDEN)), HIDDEN),
    "empty length": post(length(b""), HIDDEN),
    "length beyond 64 bits": post(length(b"18446744073709551616"), HIDDEN),
    "length in full-width digits": post(length("０".encode()), HIDDEN),
    # names that one parser trims and another does not
    "blank before the colon of the length": post(length(len(HIDDEN), b"Content-Length "), HIDDEN),
    "tab before the colon of the length": post(length(len(HIDDEN), b"Content-Length\t"), HIDDEN),
    "NUL in the name": post(length(len(HIDDEN), b"Content-\0Length"), HIDDEN),
    "blank before the name": post(b" " + length(len(HIDDEN)), HIDDEN),
    "no name": post(b": 5\r\n", HIDDEN),
    "no colon": post(b"Content-Length\r\n", HIDDEN),
    # transfer codings
    "blank before the colon of the coding": post(length(WHOLE) + b"Transfer-Encoding : chunked\r\n", LAST + HIDDEN),
    "coding in capitals": post(length(WHOLE) + b"TRANSFER-ENCODING: CHUNKED\r\n", LAST + HIDDEN),
    "coding behind a vertical tab": post(length(WHOLE) + b"Transfer-Encoding: \x0bchunked\r\n", LAST + HIDDEN),
    "coding behind a tab": post(length(WHOLE) + b"Transfer-Encoding:\tchunked\r\n", LAST + HIDDEN),
    "coding on a folded line": post(length(WHOLE) + b"Transfer-Encoding:\r\n chunked\r\n", LAST + HIDDEN),
    "coding in quotes": post(length(WHOLE) + b'Transfer-Encoding: "chunked"\r\n', LAST + HIDDEN),
    "unknown coding": post(length(WHOLE) + b"Transfer-Encoding: xchunked\r\n", LAST + HIDDEN),
    "unknown coding alone": post(b"Transfer-Encoding: xchunked\r\n", LAST + HIDDEN),
    "identity": post(length(WHOLE) + b"Transfer-Encoding: identity\r\n", LAST + HIDDEN),
    "chunked, then identity": post(length(WHOLE) + b"Transfer-Encoding: chunked, identity\r\n", LAST + HIDDEN),
    "identity, then chunked": post(length(WHOLE) + b"Transfer-Encoding: identity, chunked\r\n", LAST + HIDDEN),
    "chunked twice": post(length(WHOLE) + CHUNKED * 2, LAST + HIDDEN),
    "chunked, then another line of coding": post(CHUNKED + b"Transfer-Encoding: x\r\n", LAST + HIDDEN),
    "chunked with a parameter": post(length(WHOLE) + b"Transfer-Encoding: chunked;q=1\r\n", LAST + HIDDEN),
    "chunked behind a comma": post(length(WHOLE) + b"Transfer-Encoding: ,chunked\r\n", LAST + HIDDEN),
    "coding with a bare CR": post(length(WHOLE) + b"X: y\rTransfer-Encoding: chunked\r\n", LAST + HIDDEN),
    "coding behind a bare LF": post(length(WHOLE) + b"X: y\nTransfer-Encoding: chunked\r\n", LAST + HIDDEN),
    "coding in HTTP/1.0": post(length(WHOLE) + CHUNKED, LAST + HIDDEN, b"HTTP/1.0"),
    # chunks
    "chunk size with 0x": post(CHUNKED, b"0x0\r\n\r\n" + HIDDEN),
    "chunk size with a plus": post(CHUNKED, b"+0\r\n\r\n" + HIDDEN),
    "chunk size with a minus": post(CHUNKED, b"-0\r\n\r\n" + HIDDEN),
    "chunk size with an underscore": post(CHUNKED, b"0_0\r\n\r\n" + HIDDEN),
    "chunk size behind a blank": post(CHUNKED, b" 0\r\n\r\n" + HIDDEN),
    "empty chunk size": post(CHUNKED, b"\r\n\r\n" + HIDDEN),
    "chunk size beyond 64 bits": post(CHUNKED, b"10000000000000000\r\n\r\n" + HIDDEN),
    "chunk size ended by LF": post(CHUNKED, b"0\n\r\n" + HIDDEN),
    "chunk size ended by CR": post(CHUNKED, b"0\r\r\n" + HIDDEN),
    "last chunk ended by LF": post(CHUNKED, b"0\r\n\n" + HIDDEN),
    "chunk longer than its size": post(CHUNKED, b"1\r\nab\r\n" + LAST + HIDDEN),
    "chunk ended by LF": post(CHUNKED, b"1\r\na\n" + LAST + HIDDEN),
    "chunk without an end": post(CHUNKED, b"1\r\na" + LAST + HIDDEN),
    "LF in a chunk extension": post(CHUNKED, b"1;a\nb\r\na\r\n" + LAST + HIDDEN),
    "CR in a chunk extension": post(CHUNKED, b"1;a\rb\r\na\r\n" + LAST + HIDDEN),
    # lines
    "lines ended by LF": (b"POST / HTTP/1.1\nHost: localhost\nContent-Length: %d\n\n" % len(HIDDEN)) + HIDDEN,
    "lines ended by CR": (b"POST / HTTP/1.1\rHost: localhost\rContent-Length: %d\r\r" % len(HIDDEN)) + HIDDEN,
    "header ended by LF": post(length(len(HIDDEN)) + b"\n", HIDDEN),
    "request line in the first header": b"POST / HTTP/1.1\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /\r\n" + HIDDEN,
    "HTTP/2 by itself": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a version that is none": post(length(len(HIDDEN)), HIDDEN, b"HTTP/1.11"),
    "two blanks in the request line": post(length(len(HIDDEN)), HIDDEN, line=b"POST  /"),
    "tab in the request line": post(length(len(HIDDEN)), HIDDEN, line=b"POST\t/"),
    "upgrade with a body": post(b"Connection: upgrade\r\nUpgrade: h2c\r\n" + length(len(HIDDEN)), HIDDEN),
    "expectation with a body": post(b"Expect: 200-ok\r\n" + length(len(HIDDEN)), HIDDEN),
    "GET with a body": post(length(len(HIDDEN)), HIDDEN, line=b"GET /"),
    "HEAD with a body": post(length(len(HIDDEN)), HIDDEN, line=b"HEAD /"),
}


@pytest.fixture(name="plain", scope="module")
def _plain() -> Iterator[Running]:
    with running(Listener("127.0.0.1", 0, None, client_timeout=0.6, keep_alive=0)) as server:
        yield server


@pytest.mark.parametrize("probe", PROBES)
def test_a_hidden_request_is_never_answered(plain: Running, probe: str) -> None:
    """Refused, or read in one way to its end: one answer at most, and none to the hidden request (fault 35)."""
    with plain.reach() as connection:
        connection.sendall(PROBES[probe])
        received = drain(connection)
    assert len(STATUS.findall(received)) <= 1, received
    assert b"/hidden" not in received


def test_two_honest_requests_get_two_answers(plain: Running) -> None:
    """The probes can tell: pipelined behind a complete request the same bytes are answered."""
    with plain.reach() as connection:
        connection.sendall(post(length(0), HIDDEN))
        received = drain(connection)
    assert STATUS.findall(received) == [b"200", b"200"]
    assert json.loads(received[received.rindex(b"{") :])["path"] == "/hidden"
