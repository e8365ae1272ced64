"""The way to the Bot API: connections, and what a broken one means.

The token is part of every URL, so httpx has it in exceptions and log lines: `Wire` lets neither out.
"""

import logging
import sys
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

import orjson
from telegram.error import NetworkError, TelegramError
from telegram.request import BaseRequest, HTTPXRequest

from app.domain.send_outcome import Down, SendOutcome, TokenRefused, Uncertain
from app.telegram.answers import Answer, Delivered, read_answer

# httpx is python-telegram-bot's choice, not ours: its exceptions are known by name, so that no second HTTP library
# becomes a dependency. Whatever is not listed may have happened after the request left.
_NOTHING_LEFT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
_NO_ADDRESS = {"InvalidURL", "UnsupportedProtocol"}

_TALKATIVE = ("httpx", "httpcore", "telegram")
_TOKEN_BEARING = ("httpx", "telegram.Bot", "telegram.request.BaseRequest", "telegram.request.HTTPXRequest")
_HIDDEN = "<token>"

_LANE_WIDTH = 1  # connections; httpcore looks at every connection of a pool several times per request

# httpcore tries to import sniffio several times per request, and a failed import searches the whole path each time: a
# fifth of what a send costs. None makes it fail at once.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # how the import system spells "not there"


class AnswerError(TelegramError):
    """An answer other than success, on its way through python-telegram-bot."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("not delivered")
        self.answer = answer


class Wire(BaseRequest):
    """python-telegram-bot's transport: at most about `connections` at once, in lanes that open when they are needed.

    It judges each answer before the library does, whose exceptions fold 413 and every 5xx into one class, take a
    proxy's HTML 403 for a block, and log bad bodies. Raises AnswerError for every answer that is not a success.
    `timeout` (seconds) bounds each read and write; waiting for a free connection and for the server takes at most half
    of it each.
    """

    def __init__(self, token: str, timeout: float, connections: int) -> None:
        self._scrubber = _Scrubber(token)
        self._hush()
        self._spellings = tuple({token.encode(), quote(token, safe="").encode()})
        self._timeout = timeout
        self._width = min(_LANE_WIDTH, connections)
        self._most = -(-connections // self._width)
        # One for all lanes: each would read every root certificate anew.
        self._trust = sys.modules["httpx"].create_ssl_context()
        self._lanes = [self._lane()]

    @property
    def read_timeout(self) -> float:
        """Return the longest wait for the next byte of an answer, in seconds."""
        return self._timeout

    async def initialize(self) -> None:
        """Open the lanes that `shutdown` closed."""
        self._hush()
        for lane in self._lanes:
            await lane.initialize()

    async def shutdown(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            await lane.shutdown()
        for name in _TOKEN_BEARING:
            logging.getLogger(name).removeFilter(self._scrubber)

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Send one request in the least busy lane and judge its answer."""
        lane = self._free_lane()
        lane.busy += 1
        try:
            status, body = await lane.do_request(*args, **kwargs)
        finally:
            lane.busy -= 1
        for spelling in self._spellings:  # a proxy may echo the URL as it was sent
            body = body.replace(spelling, _HIDDEN.encode())
        answer = read_answer(status, body)
        if not isinstance(answer, Delivered):
            raise AnswerError(answer)
        # Only what a Message cannot do without: a field that the library fails to read must not turn a message that
        # was delivered into one that is sent again.
        result = {"message_id": answer.message_id, "date": 0, "chat": {"id": 0, "type": "private"}}
        return status, orjson.dumps({"ok": True, "result": result})

    def _free_lane(self) -> "_Lane":
        # The first of the least busy, so that quiet times keep one connection warm.
        lane = min(self._lanes, key=lambda lane: lane.busy)
        if lane.busy >= self._width and len(self._lanes) < self._most:
            lane = self._lane()
            self._lanes.append(lane)
        return lane

    def _lane(self) -> "_Lane":
        return _Lane(
            connection_pool_size=self._width,
            connect_timeout=self._timeout / 2,
            pool_timeout=self._timeout / 2,
            read_timeout=self._timeout,
            write_timeout=self._timeout,
            httpx_kwargs={"verify": self._trust},
        )

    def _hush(self) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        for name in _TOKEN_BEARING:
            logging.getLogger(name).addFilter(self._scrubber)


def read_breakdown(error: NetworkError) -> SendOutcome:
    """Tell from httpx's exception, which python-telegram-bot keeps as the cause, whether the request can have left."""
    cause = type(error.__cause__).__name__
    if cause in _NOTHING_LEFT:
        return Down(f"Telegram was not reached: {cause}")
    if cause in _NO_ADDRESS:
        return TokenRefused(f"TELEGRAM_API_URL and the token do not make an address: {cause}")
    return Uncertain(f"the connection broke before the answer: {cause}")


class _Lane(HTTPXRequest):
    """A small pool that knows how many requests it carries."""

    busy = 0


class _Scrubber(logging.Filter):
    """Takes the token out of a record, for whoever turns the libraries' loggers up again."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if self._token in line:
            record.msg, record.args = line.replace(self._token, _HIDDEN), None
        return True
