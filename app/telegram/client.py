"""Telegram's Bot API over one HTTP client: five methods, each one request and one answer.

The token is part of every URL, and no exception of the client holds one.
Never `getUpdates` or `setWebhook`: those belong to the bot.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

import orjson

from app.domain.message import Keyboard, LinkButton
from app.domain.send_outcome import Down, Uncertain
from app.http_client.client import HttpClient, make_form, read_url
from app.http_client.failures import HttpFailed
from app.telegram.answers import Answer, NoAddress, read_album, read_answer, read_facts, read_sent

ANSWER_LIMIT = 2**20  # bytes read of one answer; what follows is not looked at
NOT_REACHED = "Telegram was not reached: "
BROKE = "the connection broke before the answer: "

_HIDDEN = "<token>"
_HEADERS = {"User-Agent": "aisha-webhook", "Accept": "application/json", "Accept-Encoding": "identity"}
_JSON = {"Content-Type": "application/json"}
_NO_ADDRESS = ("InvalidURL", "UnsupportedProtocol")
_PACKED = ("gzip", "x-gzip", "deflate")
_EITHER = zlib.MAX_WBITS | 32  # gzip or zlib, by its first bytes

Fields = dict[str, Any]


class TelegramClient:
    """One bot's connections to the Bot API server at `api_url` (without `/bot`); open inside `async with`.

    `timeout` (seconds) bounds each wait for bytes, half of it the wait for a free connection and for the server each,
    and twice that a whole request, uploads too. At most `connections` requests run at once. Redirects are not followed.
    Proxies and trust anchors of the environment count, but loopback is never spoken to through a proxy.
    No method raises what Telegram or the network causes: that is the answer.
    """

    def __init__(self, token: str, api_url: str, *, timeout: float = 10.0, connections: int = 64) -> None:
        self._url = f"{api_url.rstrip('/')}/bot{token}/"
        self._spellings = tuple({token.encode(), quote(token, safe="").encode()})
        self._timeout = timeout
        self._http = HttpClient(_HEADERS, connections=connections, connect_seconds=timeout / 2, read_seconds=timeout)

    async def __aenter__(self) -> Self:
        """Ask Telegram nothing, and connect to nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def send_message(
        self, chat_id: int, text: str, *, html: bool = False, keyboard: Keyboard = (), silent: bool = False
    ) -> Answer:
        """Send a text, read as the Bot API's HTML or as it stands, with or without a sound; no preview of its links."""
        fields = {"chat_id": chat_id} | _text(text, keyboard, html=html) | _quiet(silent=silent)
        return await self._call("sendMessage", fields)

    async def edit_message_text(
        self, chat_id: int, message_id: int, text: str, *, html: bool = False, keyboard: Keyboard = ()
    ) -> Answer:
        """Replace text and buttons of a message of ours."""
        fields = {"chat_id": chat_id, "message_id": message_id} | _text(text, keyboard, html=html)
        return await self._call("editMessageText", fields)

    async def send_photo(
        self,
        chat_id: int,
        photo: str | bytes,
        *,
        caption: str = "",
        html: bool = False,
        keyboard: Keyboard = (),
        silent: bool = False,
    ) -> Answer:
        """Send one image: a URL that Telegram fetches (5 MB at most), or the bytes themselves (10 MB at most)."""
        files: dict[str, bytes] = {}
        fields = {"chat_id": chat_id, "photo": _photo(photo, files)}
        fields |= _caption(caption, html=html) | _buttons(keyboard) | _quiet(silent=silent)
        return await self._call("sendPhoto", fields, files)

    async def send_media_group(
        self,
        chat_id: int,
        photos: Sequence[str | bytes],
        *,
        caption: str = "",
        html: bool = False,
        silent: bool = False,
    ) -> Answer:
        """Send two to ten images as one album, under one caption. An album has no buttons."""
        files: dict[str, bytes] = {}
        media = [{"type": "photo", "media": _photo(photo, files)} for photo in photos]
        media[0] |= _caption(caption, html=html)
        return await self._call(
            "sendMediaGroup", {"chat_id": chat_id, "media": media} | _quiet(silent=silent), files, read_album
        )

    async def get_me(self) -> Answer:
        """Ask who our bot is."""
        return await self._call("getMe", {}, {}, read_facts)

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
        except zlib.error:
            return Uncertain(f"{BROKE}DecodingError")
        except HttpFailed as failed:
            if failed.has_left:
                return Uncertain(f"{BROKE}{failed.why}")
            if failed.why in _NO_ADDRESS:
                return NoAddress(f"TELEGRAM_API_URL and the token do not make an address: {failed.why}")
            return Down(f"{NOT_REACHED}{failed.why}")
        for spelling in self._spellings:  # a proxy may echo the URL as it was sent
            body = body.replace(spelling, _HIDDEN.encode())
        return read_answer(status, body, read_result)

    async def _post(self, method: str, fields: Fields, files: Mapping[str, bytes] | None) -> tuple[int, bytes]:
        url = read_url(self._url + method)
        if files:
            texts = {
                name: each if isinstance(each, str) else orjson.dumps(each).decode() for name, each in fields.items()
            }
            answer = await self._http.ask("POST", url, limit=ANSWER_LIMIT, body=make_form(texts, files))
        else:
            answer = await self._http.ask("POST", url, limit=ANSWER_LIMIT, body=orjson.dumps(fields), headers=_JSON)
        body = answer.body
        if answer.headers.get("Content-Encoding", "").lower() in _PACKED:  # unasked, as some proxies do
            body = zlib.decompressobj(_EITHER).decompress(body, ANSWER_LIMIT)
        return answer.status, body[:ANSWER_LIMIT]


def _text(text: str, keyboard: Keyboard, *, html: bool) -> Fields:
    fields: Fields = {"text": text, "link_preview_options": {"is_disabled": True}}
    return fields | _markup(html=html) | _buttons(keyboard)


def _caption(caption: str, *, html: bool) -> Fields:
    return {"caption": caption} | _markup(html=html) if caption else {}


def _quiet(*, silent: bool) -> Fields:
    return {"disable_notification": True} if silent else {}


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
