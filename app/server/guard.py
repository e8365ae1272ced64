"""uvicorn's HTTP protocol with the timeouts and the limits that it lacks."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import ClassVar, cast

import structlog
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.domain.quotas import LineQuota
from app.routers.problems import problem_body
from app.server.lifespan import HOOKS, Hooks
from app.server.timeouts import Timeouts, acknowledged, unsent

log = structlog.get_logger(__name__)

MOST_HEADERS = 100
MOST_HEADER_BYTES = 64 * 1024
MOST_WAITING = 32  # requests sent ahead of their answers; one read can hold ten thousand, of 4 KiB each in memory
LEAST_TAKEN = 16 * 1024  # bytes of an answer in the time that `Timeouts.unread` gives

HttpRefusal = tuple[int, str, str]  # status, code, detail
Stuck = tuple[str, RequestResponseCycle | None, int]  # what is waited for, on which request, how far it has come
MALFORMED: HttpRefusal = (HTTPStatus.BAD_REQUEST, "malformed_request", "This is not an HTTP/1.1 request.")
NOT_A_PATH: HttpRefusal = (
    HTTPStatus.BAD_REQUEST,
    "host_not_allowed",
    "The request target must be a path; the host belongs into the Host header.",
)
VERSION: HttpRefusal = (
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
    "version_not_supported",
    "HTTP/1.1 and HTTP/1.0 are spoken here.",
)
VERSIONS = ("1.1", "1.0")
TOO_LARGE: HttpRefusal = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    f"At most {MOST_HEADERS} headers of {MOST_HEADER_BYTES} bytes together.",
)
TOO_SLOW: HttpRefusal = (HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time.")


class Refused(Exception):
    """Raised inside a parser callback; the parser turns it into its own error and stops."""


class _Ignored(list[tuple[bytes, bytes]]):
    """Drops trailers: uvicorn would append them to headers that the application has already checked."""

    def append(self, item: tuple[bytes, bytes]) -> None:
        """Drop `item`."""


IGNORED = _Ignored()


class _Answered:
    """Stands for the request under way while httptools reports the end of one that is to be read anew."""

    response_complete = True


ANSWERED = cast("RequestResponseCycle", _Answered())


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    A request may have 100 headers of 64 KiB together and `most_bytes` after them; its target is a path. There are
    no timers per connection: `sweep` checks all of them regularly, so a fast request costs nothing extra.
    """

    most_bytes: ClassVar[int] = 4 * 1024 * 1024
    leaving: ClassVar[bool] = False  # the server stops: each connection is closed after its answer
    lines: ClassVar[LineQuota | None] = None  # rations the log lines about refusals; None writes none

    # Beyond thirty attributes CPython gives up the fast layout of an instance; slots do not count. For the same reason
    # the parser's callbacks name their base class: super() costs a tenth of a microsecond in each.
    __slots__ = ("begun", "chunk", "fd", "fed", "offered", "refusal", "stuck", "stuck_since", "tls", "under_way")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Store the TLS version, which does not change during a connection."""
        self.refusal: HttpRefusal | None = None
        self.fed = self.chunk = 0  # bytes since the request, or its header, began; at worst one read too many
        self.begun = 0  # bytes of the read in which the request began
        self.fd: int = transport.get_extra_info("socket").fileno()
        self.stuck: Stuck | None = None
        self.stuck_since = 0.0
        self.offered = False  # an upgrade was; the connection is closed after the answer
        ssl_object = transport.get_extra_info("ssl_object")
        self.tls: dict[object, object] | None = None if ssl_object is None else {"version": ssl_object.version()}
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count and parse; only a large read is inspected further. uvicorn's own method logs every malformed one."""
        self.chunk = len(data)
        self.fed += self.chunk
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            self.send_400_response("")
        except HttpParserUpgrade as offer:
            self.cycle = self.under_way
            self._decline(data[offer.args[0] :])
        if self.fed > MOST_HEADER_BYTES:
            self._weigh()

    def _weigh(self) -> None:
        if self.transport.is_closing():
            return
        if self.headers is IGNORED or self.headers is None:
            if self.fed > self.most_bytes:
                self.transport.abort()
        elif self.fed > MOST_HEADER_BYTES + self.begun:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """Reset the byte count for the next request."""
        HttpToolsProtocol.on_message_begin(self)
        self.fed = self.begun = self.chunk
        if self.tls is not None:
            self.scope["extensions"] = {"tls": self.tls}

    def on_headers_complete(self) -> None:
        """Check the complete header before the application is called."""
        if len(self.pipeline) >= MOST_WAITING:
            raise Refused  # the requests before it are answered, then the connection is closed
        if len(self.headers) > MOST_HEADERS or (self.fed > MOST_HEADER_BYTES < self._header_bytes()):
            self.refusal = TOO_LARGE
            raise Refused
        if self.parser.get_http_version() not in VERSIONS:  # httptools lets HTTP/2.0 in a request line pass
            self.refusal = VERSION
            raise Refused
        if not self.url.startswith(b"/"):
            self.refusal = NOT_A_PATH
            raise Refused
        if self.parser.should_upgrade():
            if self.offered or self.parser.get_method() == b"CONNECT":
                raise Refused
            self.offered, self.under_way, self.cycle = True, self.cycle, ANSWERED
            return
        self.fed = 0
        HttpToolsProtocol.on_headers_complete(self)
        self.headers = IGNORED
        if self.offered or self.leaving:
            self.cycle.keep_alive = False

    def _decline(self, rest: bytes) -> None:
        """Read the request anew without its offer of another protocol (RFC 9110 7.8); `rest` follows its header.

        httptools reads no body behind an offer: its bytes would be taken for the next request.
        """
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.data_received(b"".join([line, *lines, b"\r\n", rest]))

    def shutdown(self) -> None:
        """Close after the request under way; a connection without a request yet may still send one and is answered."""
        if self.cycle is not None:
            HttpToolsProtocol.shutdown(self)

    def _header_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def send_400_response(self, _msg: str) -> None:
        """Refuse what the parser refused; a complete request before it still gets its own answer."""
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.cycle.keep_alive = False
        else:
            self._refuse(self.refusal or MALFORMED)

    def _refuse(self, refusal: HttpRefusal) -> None:
        status, code, detail = self.refusal = refusal
        address = self.client[0] if self.client else None
        if self.lines is not None and self.lines.admits(address, code):
            log.warning("http.refused", code=code, status=int(status), address=address)
            if HOOKS in self.app_state:
                hooks: Hooks = self.app_state[HOOKS]
                hooks.keep(code, int(status), address, detail)
        if self._our_turn():
            body = problem_body(status, code, detail)
            lines = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
            self.transport.write(
                b"%s%scontent-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (STATUS_LINE[status], b"".join(lines), len(body), body)
            )
        self.transport.close()
        if self.cycle is not None:
            # Wakes an application that waits for the rest of the body: it sees a disconnect.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _our_turn(self) -> bool:
        """Whether the client would read the next bytes as the answer to the request being refused."""
        cycle = self.cycle
        if cycle is None or self.pipeline:
            return not self.pipeline
        return not cycle.more_body if cycle.response_complete else cycle.more_body and not cycle.response_started

    def stuck_at(self) -> Stuck | None:
        """Name what the client is waited for to do, and on which request; None while it is not waited for."""
        cycle = self.cycle
        if self.transport.is_closing():
            if self.refusal is not None:
                return "refused", cycle, 0
            return self._unread() or ("closing", cycle, 0)
        if cycle is None:
            return "asking", None, 0
        if cycle.response_complete and self.timeout_keep_alive_task is None:
            # uvicorn's keep-alive timer is cancelled by any byte, even a lone line feed, so time is measured here.
            return "leftover" if cycle.more_body else "asking", cycle, cycle.more_body
        if cycle.more_body and not cycle.response_complete and not self.flow.read_paused:
            return "asking", cycle, cycle.more_body
        return self._unread()

    def _unread(self) -> Stuck | None:
        """Ask the kernel whether the client reads its answer: under TLS uvloop does not show its own buffer."""
        try:
            if not unsent(self.fd):
                return None
            return "unread", self.cycle, acknowledged(self.fd) // LEAST_TAKEN
        except OSError:  # the connection was closed meanwhile
            return None

    def overdue(self, now: float, timeouts: Timeouts) -> str | None:
        """Return what the client has been too slow with, if anything. `now` is the loop's time."""
        state = self.stuck_at()
        if state is None or state != self.stuck:
            self.stuck, self.stuck_since = state, now
            return None
        kind = state[0]
        allowed: float = getattr(timeouts, kind)
        return kind if now - self.stuck_since >= allowed else None

    def cut(self, kind: str) -> None:
        """End the connection; an incomplete request is answered 408 first."""
        in_header = self.headers is not None and self.headers is not IGNORED
        in_body = self.cycle is not None and not self.cycle.response_complete
        if kind == "leftover":
            self.transport.close()
        elif kind == "asking" and (in_header or in_body):
            self._refuse(TOO_SLOW)
        else:
            self.transport.abort()


def sweep(connections: Iterable[GuardedProtocol], now: float, timeouts: Timeouts) -> int:
    """Cut every connection that is overdue; return how many."""
    late = [(connection, kind) for connection in connections if (kind := connection.overdue(now, timeouts)) is not None]
    for connection, kind in late:
        connection.cut(kind)
    return len(late)
