"""The Telegram twin: getMe and sendMessage of the Bot API, with its refusals."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins.faults import Fault, Latch, Sleep, answer
from app.twins.markup import MarkupRefused, visible_text
from app.twins.serving import serve
from app.twins.telegram_faults import NOT_FOUND, UNAUTHORIZED, refusal

TEXT_LIMIT: Final = 4096  # characters, after entities are parsed
CALLBACK_LIMIT: Final = 64  # bytes
BOT: Final = {"id": 1, "is_bot": True, "first_name": "Aisha", "username": "aisha_twin_bot"}


@dataclass(frozen=True, slots=True)
class TelegramMessage:
    """A message that reached a chat. `text` is as sent, `shown` without markup; `at` in Unix seconds."""

    message_id: int
    chat_id: int
    text: str
    shown: str
    reply_markup: Any
    at: float

    @property
    def buttons(self) -> list[str]:
        """The labels of an inline keyboard."""
        rows = (self.reply_markup or {}).get("inline_keyboard", ())
        return [str(button["text"]) for row in rows for button in row]


@dataclass(slots=True)
class TelegramCall:
    """One request to the Bot API, without its token. `status` is None until (unless) it is answered."""

    at: float
    method: str
    chat_id: int | None = None
    status: int | None = None


class TelegramTwin:
    """A local Bot API. Any token is right unless `tokens` names the right ones.

    `messages` and `calls` are the log. Faults are programmed with `fail`: for one chat or for all, once or for ever.
    """

    def __init__(
        self,
        *,
        tokens: Collection[str] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Start healthy and silent."""
        self.tokens = tokens
        self.messages: list[TelegramMessage] = []
        self.calls: list[TelegramCall] = []
        self._once: defaultdict[int | None, deque[Fault]] = defaultdict(deque)
        self._standing: dict[int | None, Fault] = {}
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._clock = clock
        self._sleep = sleep
        self._latch = Latch()
        self.routes: list[Route] = [Route("/bot{token}/{method}", self._api, methods=["GET", "POST"])]
        self.app = Starlette(routes=self.routes)

    def serve(self, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve on loopback; `async with twin.serve() as base_url` gives what TELEGRAM_API_URL takes."""
        return serve(self.app, port=port, before_stop=self.release)

    def release(self) -> None:
        """Let every hung request end with 503."""
        self._latch.open()

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

    def texts(self, chat_id: int) -> list[str]:
        """Return what one chat was shown, in order."""
        return [message.shown for message in self.messages if message.chat_id == chat_id]

    async def heard(self, count: int, *, within: float = 10.0) -> list[TelegramMessage]:
        """Wait until `count` messages have arrived since the start and return all.

        Raises TimeoutError after `within` seconds.
        """
        if len(self.messages) < count:
            arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((count, arrived))
            async with asyncio.timeout(within):
                await arrived
        return list(self.messages)

    async def _api(self, request: Request) -> Response:
        call = TelegramCall(self._clock(), request.path_params["method"])
        self.calls.append(call)
        response = await self._dispatch(request, call)
        call.status = response.status_code
        return response

    async def _dispatch(self, request: Request, call: TelegramCall) -> Response:
        if self.tokens is not None and request.path_params["token"] not in self.tokens:
            return UNAUTHORIZED.response()
        match call.method.lower():
            case "sendmessage":
                return await self._send_message(await _fields(request), call)
            case "getme":
                return await answer(self._standing.get(None), lambda: _ok(BOT), self._latch, self._sleep)
            case _:
                return NOT_FOUND.response()

    async def _send_message(self, fields: dict[str, Any], call: TelegramCall) -> Response:
        try:
            chat_id = int(fields.get("chat_id", ""))
        except (TypeError, ValueError):
            return refusal(400, "Bad Request: chat not found").response()
        call.chat_id = chat_id
        return await answer(self._next_fault(chat_id), lambda: self._take(chat_id, fields), self._latch, self._sleep)

    def _next_fault(self, chat_id: int) -> Fault | None:
        for whom in (chat_id, None):
            if queue := self._once.get(whom):
                return queue.popleft()
        return self._standing.get(chat_id) or self._standing.get(None)

    def _take(self, chat_id: int, fields: dict[str, Any]) -> Response:
        text = str(fields.get("text", ""))
        try:
            shown = (visible_text(text) if str(fields.get("parse_mode", "")).lower() == "html" else text).strip()
        except MarkupRefused as error:
            return refusal(400, f"Bad Request: can't parse entities: {error}").response()
        if not shown:
            return refusal(400, "Bad Request: message text is empty").response()
        if len(shown) > TEXT_LIMIT:
            return refusal(400, "Bad Request: message is too long").response()
        reply_markup = fields.get("reply_markup")
        try:
            if isinstance(reply_markup, str):
                reply_markup = orjson.loads(reply_markup)
            fits = reply_markup is None or _buttons_fit(reply_markup)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            return refusal(400, "Bad Request: can't parse reply keyboard markup JSON object").response()
        if not fits:
            return refusal(400, "Bad Request: BUTTON_DATA_INVALID").response()
        message = TelegramMessage(len(self.messages) + 1, chat_id, text, shown, reply_markup, self._clock())
        self.messages.append(message)
        self._wake()
        return _ok(
            {
                "message_id": message.message_id,
                "from": BOT,
                "chat": {"id": chat_id, "type": "private" if chat_id > 0 else "supergroup"},
                "date": int(message.at),
                "text": shown,
            }
        )

    def _wake(self) -> None:
        for count, arrived in self._waiters:
            if count <= len(self.messages) and not arrived.done():
                arrived.set_result(None)
        self._waiters = [waiter for waiter in self._waiters if not waiter[1].done()]


async def _fields(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            return {}
        return fields if isinstance(fields, dict) else {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _buttons_fit(reply_markup: dict[str, Any]) -> bool:
    lengths = (
        len(str(button["callback_data"]).encode())
        for row in reply_markup.get("inline_keyboard", ())
        for button in row
        if "callback_data" in button
    )
    return all(0 < length <= CALLBACK_LIMIT for length in lengths)


def _ok(result: dict[str, Any]) -> Response:
    return Response(orjson.dumps({"ok": True, "result": result}), media_type="application/json")
