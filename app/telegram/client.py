"""Telegram's Bot API over one httpx2 client: six methods, each one request and one answer.

The token is part of every URL, and httpx2 has the URL in its exceptions and log lines: neither leaves this module.
Never `getUpdates` or `setWebhook`: those belong to the bot.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

import httpx2
import orjson

from app.domain.message import Keyboard, LinkButton
from app.domain.network import is_loopback
from app.domain.send_outcome import Down, Uncertain
from app.telegram.answers import Answer, NoAddress, read_album, read_answer, read_facts, read_sent

ANSWER_LIMIT = 2**20  # bytes read of one answer; what follows is not looked at
NOT_REACHED = "Telegram was not reached: "
KEPT_SECONDS = 5.0  # a connection that nobody uses is closed after this long

_NOTHING_LEFT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_NO_ADDRESS = (httpx2.InvalidURL, httpx2.UnsupportedProtocol)
_TALKATIVE = ("httpx2", "httpcore2")
_TOKEN_BEARING = ("httpx2", "httpcore2.http11")  # a filter does not see what is logged below it
_HIDDEN = "<token>"
_JSON = {"Content-Type": "application/json"}

Fields = dict[str, Any]


class TelegramClient:
    """One bot's connections to the Bot API server at `api_url` (without `/bot`); open inside `async with`.

    `timeout` (seconds) bounds each read and write, half of it the wait for a free connection and for the server each,
    and twice that a whole request. At most `connections` requests run at once. Redirects are not followed.
    Proxies and trust anchors of the environment count, but loopback is never spoken to through a proxy.
    No method raises what Telegram or the network causes: that is the answer.
    """

    def __init__(self, token: str, api_url: str, *, timeout: float = 10.0, connections: int = 64) -> None:
        self._url = f"{api_url.rstrip('/')}/bot{token}/"
        self._scrubber = _Scrubber(token)
        self._spellings = tuple({token.encode(), quote(token, safe="").encode()})
        self._timeout = timeout
        self._connections = connections
        self._http: httpx2.AsyncClient

    async def __aenter__(self) -> Self:
        """Open the pool. Asks Telegram nothing."""
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        for name in _TOKEN_BEARING:
            logging.getLogger(name).addFilter(self._scrubber)
        direct: dict[str, httpx2.AsyncBaseTransport | None] = {"http://": None, "https://": None}
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._timeout, connect=self._timeout / 2, pool=self._timeout / 2),
            limits=httpx2.Limits(
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=KEPT_SECONDS,
            ),
            follow_redirects=False,
            trust_env=True,
            mounts=direct if self._is_near() else None,
            headers={"User-Agent": "aisha-webhook", "Accept": "application/json", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self._http.aclose()
        for name in _TOKEN_BEARING:
            logging.getLogger(name).removeFilter(self._scrubber)

    async def send_message(
        self, chat_id: int, text: str, *, html: bool = False, keyboard: Keyboard = (), silent: bool = False
    ) -> Answer:
        """Send a text, read as the Bot API's HTML or as it stands, with or without a sound; no preview of its links."""
        quiet: Fields = {"disable_notification": True} if silent else {}
        return await self._call("sendMessage", {"chat_id": chat_id} | _text(text, keyboard, html=html) | quiet)

    async def edit_message_text(
        self, chat_id: int, message_id: int, text: str, *, html: bool = False, keyboard: Keyboard = ()
    ) -> Answer:
        """Replace text and buttons of a message of ours."""
        fields = {"chat_id": chat_id, "message_id": message_id} | _text(text, keyboard, html=html)
        return await self._call("editMessageText", fields)

    async def send_photo(
        self, chat_id: int, photo: str | bytes, *, caption: str = "", html: bool = False, keyboard: Keyboard = ()
    ) -> Answer:
        """Send one image: a URL that Telegram fetches (5 MB at most), or the bytes themselves (10 MB at most)."""
        files: dict[str, bytes] = {}
        fields = {"chat_id": chat_id, "photo": _photo(photo, files)}
        fields |= _caption(caption, html=html) | _buttons(keyboard)
        return await self._call("sendPhoto", fields, files)

    async def send_media_group(
        self, chat_id: int, photos: Sequence[str | bytes], *, caption: str = "", html: bool = False
    ) -> Answer:
        """Send two to ten images as one album, under one caption. An album has no buttons."""
        files: dict[str, bytes] = {}
        media = [{"type": "photo", "media": _photo(photo, files)} for photo in photos]
        media[0] |= _caption(caption, html=html)
        return await self._call("sendMediaGroup", {"chat_id": chat_id, "media": media}, files, read_album)

    async def get_me(self) -> Answer:
        """Ask who our bot is."""
        return await self._call("getMe", {}, {}, read_facts)

    async def get_chat(self, chat_id: int) -> Answer:
        """Ask what a chat is; a person who never wrote to the bot is no chat of its."""
        return await self._call("getChat", {"chat_id": chat_id}, {}, read_facts)

    async def _call(
        self,
        method: str,
        fields: Fields,
        files: Mapping[str, bytes] | None = None,
        read_result: Callable[[Any], Answer | None] = read_sent,
    ) -> Answer:
        try:
            async with asyncio.timeout(2 * self._timeout):
                status, body = await self._post(method, fields, files)
        except TimeoutError:
            return Uncertain("no whole answer in time")
        except _NOTHING_LEFT as error:
            return Down(f"{NOT_REACHED}{type(error).__name__}")
        except _NO_ADDRESS as error:
            return NoAddress(f"TELEGRAM_API_URL and the token do not make an address: {type(error).__name__}")
        except httpx2.HTTPError as error:  # whatever is not listed above may have happened after the request left
            return Uncertain(f"the connection broke before the answer: {type(error).__name__}")
        for spelling in self._spellings:  # a proxy may echo the URL as it was sent
            body = body.replace(spelling, _HIDDEN.encode())
        return read_answer(status, body, read_result)

    async def _post(self, method: str, fields: Fields, files: Mapping[str, bytes] | None) -> tuple[int, bytes]:
        if files:
            parts = {name: each if isinstance(each, str) else orjson.dumps(each) for name, each in fields.items()}
            request = self._http.build_request(
                "POST", self._url + method, data=parts, files={name: (name, content) for name, content in files.items()}
            )
        else:
            request = self._http.build_request("POST", self._url + method, content=orjson.dumps(fields), headers=_JSON)
        response = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    break
            return response.status_code, bytes(body[:ANSWER_LIMIT])
        finally:
            await response.aclose()

    def _is_near(self) -> bool:
        try:
            return is_loopback(httpx2.URL(self._url).host)
        except httpx2.InvalidURL:
            return False


def _text(text: str, keyboard: Keyboard, *, html: bool) -> Fields:
    fields: Fields = {"text": text, "link_preview_options": {"is_disabled": True}}
    return fields | _markup(html=html) | _buttons(keyboard)


def _caption(caption: str, *, html: bool) -> Fields:
    return {"caption": caption} | _markup(html=html) if caption else {}


def _markup(*, html: bool) -> Fields:
    return {"parse_mode": "HTML"} if html else {}


def _buttons(keyboard: Keyboard) -> Fields:
    if not keyboard:
        return {}
    rows = [[_button(button) for button in row] for row in keyboard]
    return {"reply_markup": {"inline_keyboard": rows}}


def _button(button: tuple[str, str]) -> dict[str, str]:
    label, target = button
    return {"text": label, "url" if isinstance(button, LinkButton) else "callback_data": target}


def _photo(photo: str | bytes, files: dict[str, bytes]) -> str:
    """Say where Telegram finds an image; bytes go into `files`."""
    if isinstance(photo, str):
        return photo
    name = f"upload{len(files)}"
    files[name] = photo
    return f"attach://{name}"


class _Scrubber(logging.Filter):
    """Takes the token out of log records, in case somebody lowers the level of the libraries' loggers."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if self._token in line:
            record.msg, record.args = line.replace(self._token, _HIDDEN), None
        return True
