"""Telegram, played: what owners and the operator really saw, and what the server meant by it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.responses import Response
from yarl import URL

from app.domain.message import Message
from app.domain.notification import Notification
from app.twins.markup import MarkupRefused, visible_text

OPERATOR_CHAT = -700
TOKEN = "700:simulation"
LIMIT = 4096
CAPTION = 1024
RESTS = 40  # s that a chat asks for

Meaning = tuple[str, str, str]  # subject, request id, topic


@dataclass
class Telegram:
    """`moods` say how single chats answer: blocked, unknown, slow, picky, fixed (takes no edit).

    `on_seen` hears of each message.
    """

    moods: dict[int, str] = field(default_factory=dict)
    seen: Counter[Meaning] = field(default_factory=Counter)
    order: dict[int, list[Meaning]] = field(default_factory=dict)
    meanings: dict[tuple[int, str], list[Meaning]] = field(default_factory=dict)  # of a text, as they were worded
    shown: dict[tuple[int, int], tuple[str, Any]] = field(default_factory=dict)
    edits: int = 0
    refused_markup: list[str] = field(default_factory=list)
    on_seen: Callable[[Meaning, int], None] = lambda _meaning, _chat: None
    on_rushed: Callable[[int, float], None] = lambda _chat, _left: None
    time: Callable[[], float] = lambda: 0.0
    rests: dict[int, float] = field(default_factory=dict)  # chats that were told to slow down, until when
    _last: int = 0

    def expect(self, notification: Notification, message: Message) -> None:
        """Remember what a text means that is about to be sent."""
        chat = notification.owner.chat_id or 0
        meaning = (notification.subject, notification.request_id, notification.topic.value)
        for words in (message, message.photos):
            if words is not None:
                for text in {words.html, words.plain}:
                    same = self.meanings.setdefault((chat, text), [])
                    if meaning not in same:
                        same.append(meaning)

    def answer(self, _method: str, url: URL, _headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one call of the Bot API."""
        fields = orjson.loads(body) if body else {}
        album = fields.get("media") or []
        fields |= {name: value for one in album[:1] for name, value in one.items() if name in ("caption", "parse_mode")}
        chat, text = int(fields.get("chat_id", 0)), str(fields.get("text", fields.get("caption", "")))
        if (left := self.rests.get(chat, 0.0) - self.time()) > 0:
            self.on_rushed(chat, left)
        refused = self._in_mood(chat, fields)
        if refused is not None:
            return refused
        try:
            visible = visible_text(text) if fields.get("parse_mode") else text
        except MarkupRefused as error:
            self.refused_markup.append(str(error))
            return _refusal(400, f"Bad Request: can't parse entities: {error}")
        if not visible.strip() or len(visible) > (CAPTION if album or "photo" in fields else LIMIT):
            return _refusal(400, "Bad Request: message text is empty or too long")
        if url.path.endswith("/editMessageText"):
            return self._edit(chat, int(fields["message_id"]), text, fields.get("reply_markup"))
        first = self._last + 1
        self._last += max(len(album), 1)
        self.shown[chat, self._last] = (text, fields.get("reply_markup"))
        if same := self.meanings.get((chat, text)):
            # Two alerts of one name may end in the same words: each is seen once before one counts as repeated.
            meaning = min(same, key=lambda one: self.seen[one])
            self.seen[meaning] += 1
            self.order.setdefault(chat, []).append(meaning)
            self.on_seen(meaning, chat)
        if album:
            shown = [{"message_id": one, "chat": {"id": chat}, "date": 0} for one in range(first, self._last + 1)]
            return Response(orjson.dumps({"ok": True, "result": shown}), 200)
        return _accepted(chat, self._last)

    def is_seen(self, meaning: Meaning) -> bool:
        """Tell whether a message was seen, or another that ends in the same words: nobody can tell them apart."""
        if self.seen[meaning]:
            return True
        return any(self.seen[one] for same in self.meanings.values() if meaning in same for one in same)

    def _in_mood(self, chat: int, fields: Mapping[str, Any]) -> Response | None:
        match self.moods.get(chat):
            case "blocked":
                return _refusal(403, "Forbidden: bot was blocked by the user")
            case "unknown":
                return _refusal(400, "Bad Request: chat not found")
            case "slow":
                del self.moods[chat]
                self.rests[chat] = self.time() + RESTS - 1
                return _refusal(429, "Too Many Requests: retry after 40", retry_after=RESTS)
            case "picky" if fields.get("parse_mode"):
                return _refusal(400, "Bad Request: can't parse entities: unsupported start tag")
        return None

    def _edit(self, chat: int, message_id: int, text: str, markup: Any) -> Response:
        before = self.shown.get((chat, message_id))
        if self.moods.get(chat) == "fixed":
            return _refusal(400, "Bad Request: message can't be edited")
        if before is None:
            return _refusal(400, "Bad Request: message to edit not found")
        if before == (text, markup):
            return _refusal(400, "Bad Request: message is not modified")
        self.edits += 1
        self.shown[chat, message_id] = (text, markup)
        return _accepted(chat, message_id)


def _accepted(chat: int, message_id: int) -> Response:
    result = {"message_id": message_id, "chat": {"id": chat, "type": "private"}, "date": 0}
    return Response(orjson.dumps({"ok": True, "result": result}), 200)


def _refusal(code: int, description: str, **parameters: int) -> Response:
    said = {"ok": False, "error_code": code, "description": description, "parameters": parameters}
    return Response(orjson.dumps(said), code)
