"""The Telegram twin: getMe, sendMessage, sendPhoto, sendMediaGroup of the Bot API and edits, with their refusals."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins.faults import Fault, Instead, Twin, json_response
from app.twins.markup import MarkupRefused, visible_text
from app.twins.telegram_faults import CHAT_NOT_FOUND, NOT_FOUND, UNAUTHORIZED, refusal
from app.twins.telegram_photos import captioned, photos_of, read_form

TEXT_LIMIT: Final = 4096  # characters, after entities are parsed
CAPTION_LIMIT: Final = 1024  # the same
SENDS: Final = {"sendmessage", "sendphoto", "sendmediagroup"}
CALLBACK_LIMIT: Final = 64  # bytes
BOT: Final = {"id": 1, "is_bot": True, "first_name": "Aisha", "username": "aisha_twin_bot"}


@dataclass(frozen=True, slots=True)
class TelegramMessage:
    """A message that reached a chat. `text` is as sent, `shown` without markup; `at` in Unix seconds.

    `is_silent`: it came without a sound. `edits` counts how often it was put in another's place. An album is one
    message here; `photos` names its images: URLs, or `upload:` and the number of bytes.
    """

    message_id: int
    chat_id: int
    text: str
    shown: str
    reply_markup: Any
    at: float
    is_silent: bool = False
    edits: int = 0
    photos: tuple[str, ...] = ()

    @property
    def buttons(self) -> list[str]:
        """The labels of an inline keyboard."""
        rows = (self.reply_markup or {}).get("inline_keyboard", ())
        return [str(button["text"]) for row in rows for button in row]


class TelegramTwin(Twin):
    """A local Bot API. Any token is right unless `tokens` names the right ones.

    `messages` and `calls` are the log. `is_refused` tells of a URL, or of `upload:…`, that it is not taken. Faults are
    programmed with `fail`: for one chat or for all, once or for ever.
    """

    def __init__(
        self,
        *,
        tokens: Collection[str] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start healthy and silent."""
        super().__init__([Route("/bot{token}/{method}", self._api, methods=["GET", "POST"])], clock, sleep)
        self.tokens = tokens
        self.messages: list[TelegramMessage] = []
        self.is_refused: Callable[[str], bool] = lambda _: False
        self._last_id = 0
        self._once: defaultdict[int | None, deque[Fault]] = defaultdict(deque)
        self._standing: dict[int | None, Fault] = {}
        self._arrived = asyncio.Event()  # one per message

    def log(self) -> dict[str, Any]:
        """Return what the twin has seen, as /_twin/log tells it."""
        return {"messages": self.messages, "calls": self.calls}

    def fail(self, *faults: Fault, chat_id: int | None = None, standing: bool = False) -> None:
        """Meet the next sendMessage calls to `chat_id` (None: to anybody) with these faults, one each, in order.

        With `standing` the last of them stays until `mend`; a standing fault for anybody meets getMe as well.
        A chat's own faults come before those for anybody, and single ones before standing ones.
        """
        if standing:
            self._standing[chat_id] = faults[-1]
            faults = faults[:-1]
        self._once[chat_id].extend(faults)

    def mend(self) -> None:
        """Forget every fault and release whoever hangs."""
        self._once.clear()
        self._standing.clear()
        self.release()

    async def heard(self, count: int, *, within: float = 10.0) -> list[TelegramMessage]:
        """Wait until `count` messages have arrived since the start and return all.

        Raises TimeoutError after `within` seconds.
        """
        async with asyncio.timeout(within):
            while len(self.messages) < count:
                await self._arrived.wait()
        return list(self.messages)

    async def _api(self, request: Request) -> Response:
        method = request.path_params["method"]
        call, fault, fields = self._note(method), None, await _fields(request)
        right: Callable[[], Response]
        if self.tokens is not None and request.path_params["token"] not in self.tokens:
            right = UNAUTHORIZED.response
        elif method.lower() == "getme":
            fault, right = self._standing.get(None), lambda: _ok(BOT)
        elif method.lower() not in (*SENDS, "editmessagetext"):
            right = NOT_FOUND.response
        elif (chat_id := _number(fields.get("chat_id"))) is None:
            right = CHAT_NOT_FOUND.response
        else:
            call.chat_id = chat_id
            fault, right = self._next_fault(chat_id), lambda: self._do(method.lower(), chat_id, fields)
        return await self._answer(call, fault, right)

    def _next_fault(self, chat_id: int) -> Fault | None:
        for whom in (chat_id, None):
            if queue := self._once.get(whom):
                return queue.popleft()
        return self._standing.get(chat_id) or self._standing.get(None)

    def _do(self, method: str, chat_id: int, fields: dict[str, Any]) -> Response:
        if method == "editmessagetext":
            return self._edit(chat_id, fields)
        photos: tuple[str, ...] = ()
        if method != "sendmessage":
            found = photos_of(method, fields, self.is_refused)
            if isinstance(found, Instead):
                return found.response()
            photos, fields = found, captioned(method, fields)
        message = self._read(self._last_id + 1, chat_id, fields, photos)
        if isinstance(message, Response):
            return message
        self._last_id += max(1, len(photos))
        self.messages.append(message)
        self._arrived.set()
        self._arrived = asyncio.Event()
        if method == "sendmediagroup":
            return _ok([{"message_id": message.message_id + number} for number in range(len(photos))])
        return self._shown(message)

    def _edit(self, chat_id: int, fields: dict[str, Any]) -> Response:
        number = _number(fields.get("message_id"))
        found = [at for at, one in enumerate(self.messages) if (one.message_id, one.chat_id) == (number, chat_id)]
        if not found:
            return refusal(400, "Bad Request: message to edit not found").response()
        before = self.messages[found[0]]
        message = self._read(before.message_id, chat_id, fields)
        if isinstance(message, Response):
            return message
        if (message.text, message.reply_markup) == (before.text, before.reply_markup):
            return refusal(400, "Bad Request: message is not modified").response()
        self.messages[found[0]] = replace(message, at=before.at, is_silent=before.is_silent, edits=before.edits + 1)
        return self._shown(message)

    def _read(
        self, message_id: int, chat_id: int, fields: dict[str, Any], photos: tuple[str, ...] = ()
    ) -> TelegramMessage | Response:
        """Read what is to be shown, or refuse it as the Bot API does."""
        text = str(fields.get("text", ""))
        try:
            shown = (visible_text(text) if str(fields.get("parse_mode", "")).lower() == "html" else text).strip()
        except MarkupRefused as error:
            return refusal(400, f"Bad Request: can't parse entities: {error}").response()
        if not shown and not photos:
            return refusal(400, "Bad Request: message text is empty").response()
        if len(shown) > (CAPTION_LIMIT if photos else TEXT_LIMIT):
            what = "message caption" if photos else "message"
            return refusal(400, f"Bad Request: {what} is too long").response()
        reply_markup = fields.get("reply_markup")
        try:
            if isinstance(reply_markup, str):
                reply_markup = orjson.loads(reply_markup)
            fits = reply_markup is None or _buttons_fit(reply_markup)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            return refusal(400, "Bad Request: can't parse reply keyboard markup JSON object").response()
        if not fits:
            return refusal(400, "Bad Request: BUTTON_DATA_INVALID").response()
        is_silent = str(fields.get("disable_notification")).lower() == "true"
        return TelegramMessage(message_id, chat_id, text, shown, reply_markup, self._clock(), is_silent, photos=photos)

    @staticmethod
    def _shown(message: TelegramMessage) -> Response:
        return _ok(
            {
                "message_id": message.message_id,
                "from": BOT,
                "chat": {"id": message.chat_id, "type": "private" if message.chat_id > 0 else "supergroup"},
                "date": int(message.at),
                "text": message.shown,
            }
        )


async def _fields(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            return {}
        return fields if isinstance(fields, dict) else {}
    if request.headers.get("content-type", "").startswith("multipart/"):
        return read_form(request.headers["content-type"], body)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _number(said: object) -> int | None:
    try:
        return int(str(said))
    except ValueError:
        return None


def _buttons_fit(reply_markup: dict[str, Any]) -> bool:
    lengths = (
        len(str(button["callback_data"]).encode())
        for row in reply_markup.get("inline_keyboard", ())
        for button in row
        if "callback_data" in button
    )
    return all(0 < length <= CALLBACK_LIMIT for length in lengths)


def _ok(result: Any) -> Response:
    return json_response(200, orjson.dumps({"ok": True, "result": result}))
