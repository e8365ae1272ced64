"""uvicorn's HTTP protocol with the timeouts and the limits that it lacks."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.routers.problems import problem_body
from app.server.timeouts import Timeouts, acknowledged, unsent

MOST_HEADERS = 100
MOST_HEADER_BYTES = 64 * 1024
MOST_WAITING = 32  # requests sent ahead of their answers; a read has room for ten thousand, of 4 KiB each in memory
ONE_READ = 256 * 1024  # bytes; uvloop hands over no more at a time
BODY_HEADERS = frozenset((b"content-length", b"transfer-encoding"))
LEAST_TAKEN = 16 * 1024  # bytes of an answer in the time that `Timeouts.unread` gives

HttpRefusal = tuple[int, str, str]  # status, code, detail
Stuck = tuple[str, RequestResponseCycle | None, int]  # what is waited for, on which request, how far it has come
MALFORMED: HttpRefusal = (HTTPStatus.BAD_REQUEST, "malformed_request", "This is not an HTTP/1.1 request.")
NOT_A_PATH: HttpRefusal = (
    HTTPStatus.BAD_REQUEST,
    "host_not_allowed",
    "The request target must be a path; the host belongs into the Host header.",
)
UPGRADE: HttpRefusal = (HTTPStatus.BAD_REQUEST, "malformed_request", "An upgrade with a body is not served.")
TOO_LARGE: HttpRefusal = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    f"At most {MOST_HEADERS} headers of {MOST_HEADER_BYTES} bytes together.",
)
TOO_SLOW: HttpRefusal = (HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time.")


class Refused(Exception):
    """Raised inside a parser callback; the parser turns it into its own error and stops."""


class _Ignored(list[tuple[bytes, bytes]]):
    """Where trailers go: uvicorn would append them to headers that the application has already judged."""

    def append(self, item: tuple[bytes, bytes]) -> None:
        """Forget `item`."""


IGNORED = _Ignored()


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    A request may have 100 headers of 64 KiB together and `most_bytes` after them; its target is a path. Time is not
    kept here: `sweep` looks at all connections now and then, so a quick request pays nothing for the slow ones.
    """

    most_bytes: ClassVar[int] = 4 * 1024 * 1024
    leaving: ClassVar[bool] = False  # the server stops: every answer is the last of its connection

    # Beyond thirty attributes CPython gives up the fast layout of an instance; slots do not count. For the same reason
    # the parser's callbacks name their base class: super() costs a tenth of a microsecond in each.
    __slots__ = ("chunk", "fd", "fed", "refusal", "stuck", "stuck_since", "tls")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Note the TLS version once: it does not change."""
        self.refusal: HttpRefusal | None = None
        self.fed = self.chunk = 0  # bytes since the request, or its header, began; at worst one read too many
        self.fd: int = transport.get_extra_info("socket").fileno()
        self.stuck: Stuck | None = None
        self.stuck_since = 0.0
        ssl_object = transport.get_extra_info("ssl_object")
        self.tls: dict[object, object] | None = None if ssl_object is None else {"version": ssl_object.version()}
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count, parse, and look closer only at what is large."""
        self.chunk = len(data)
        self.fed += self.chunk
        HttpToolsProtocol.data_received(self, data)
        if self.fed > MOST_HEADER_BYTES:
            self._weigh()

    def _weigh(self) -> None:
        if self.transport.is_closing():
            return
        if self.headers is IGNORED or self.headers is None:
            if self.fed > self.most_bytes:
                self.transport.abort()
        elif self.fed > MOST_HEADER_BYTES + ONE_READ:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start counting anew."""
        HttpToolsProtocol.on_message_begin(self)
        self.fed = self.chunk
        if self.tls is not None:
            self.scope["extensions"] = {"tls": self.tls}

    def on_headers_complete(self) -> None:
        """Judge the header as a whole before the application sees any of it."""
        if len(self.pipeline) >= MOST_WAITING:
            raise Refused  # those before are answered, the last of them closes
        if len(self.headers) > MOST_HEADERS or (self.fed > MOST_HEADER_BYTES < self._header_bytes()):
            self.refusal = TOO_LARGE
            raise Refused
        if not self.url.startswith(b"/"):
            self.refusal = NOT_A_PATH
            raise Refused
        upgrade = self.parser.should_upgrade()
        if upgrade and any(name in BODY_HEADERS for name, _ in self.headers):
            # httptools skips the body of such a request, and would take it for the next request.
            self.refusal = UPGRADE
            raise Refused
        self.fed = 0
        HttpToolsProtocol.on_headers_complete(self)
        self.headers = IGNORED
        if upgrade or self.leaving:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Finish what is under way; one who has connected and not asked yet is heard: nobody is refused for nothing."""
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
        if self._our_turn():
            body = problem_body(status, code, detail)
            lines = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
            self.transport.write(
                b"%s%scontent-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (STATUS_LINE[status], b"".join(lines), len(body), body)
            )
        self.transport.close()
        if self.cycle is not None:
            # The application waiting for the rest of the body learns at once that it will not come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _our_turn(self) -> bool:
        """Whether the next bytes sent will be taken for the answer to the request being refused."""
        cycle = self.cycle
        if cycle is None or self.pipeline:
            return not self.pipeline
        return not cycle.more_body if cycle.response_complete else cycle.more_body and not cycle.response_started

    def _unsupported_upgrade_warning(self) -> None:
        """Stay silent: the request is answered as it is, and anybody can send a million of them."""

    def stuck_at(self) -> Stuck | None:
        """Name what the server waits for the client to do, and on which request; None while the turn is ours."""
        cycle = self.cycle
        if self.transport.is_closing():
            if self.refusal is not None:
                return "refused", cycle, 0
            return self._unread() or ("closing", cycle, 0)
        if cycle is None:
            return "asking", None, 0
        if cycle.response_complete and self.timeout_keep_alive_task is None:
            # The stock keep-alive clock stops at any byte, a lone line feed included.
            return "leftover" if cycle.more_body else "asking", cycle, cycle.more_body
        if cycle.more_body and not cycle.response_complete and not self.flow.read_paused:
            return "asking", cycle, cycle.more_body
        return self._unread()

    def _unread(self) -> Stuck | None:
        """Ask the kernel whether the client takes its answer: under TLS uvloop hides what it still holds itself."""
        try:
            if not unsent(self.fd):
                return None
            return "unread", self.cycle, acknowledged(self.fd) // LEAST_TAKEN
        except OSError:  # closed this very moment
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
        """End the connection; a request that was begun is told why."""
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
