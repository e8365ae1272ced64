"""Read what the Bot API answered to one request. No I/O.

Only Telegram's own envelope (`{"ok": false, "error_code": …}`) may condemn a message, an owner or the token: a proxy
that answers 403 or 404 in HTML says nothing about any of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from app.domain.send_outcome import (
    LONGEST_WAIT,
    Down,
    NotEditable,
    Rejected,
    SendOutcome,
    Sent,
    SlowDown,
    TokenRefused,
    Uncertain,
    Unreachable,
)

UNSAID_WAIT = 30.0  # seconds; the shortest wait seen in reports, for a 429 that names none
WHY_LIMIT = 200  # characters kept of Telegram's description

# Known parts of Telegram's descriptions, lower case (tdlib/telegram-bot-api, Client.cpp).
_LEFT = ("blocked by the user", "user is deactivated", "user_is_blocked", "input_user_deactivated")
_NOT_THERE = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "group chat was deactivated",
    "group chat was deleted",
)
_MISPARSED = ("can't parse entities", "can't parse message text")
_UNCHANGED = ("message is not modified",)
_NOT_EDITABLE = ("message to edit not found", "message can't be edited", "message_id_invalid")


@dataclass(frozen=True, slots=True)
class Delivered:
    """Telegram took the message under this id."""

    message_id: int


@dataclass(frozen=True, slots=True)
class Album:
    """Telegram took the images as these messages, in their order."""

    message_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What Telegram says of a bot, by the Bot API's names."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Migrated:
    """The group became a supergroup: the message belongs to the chat `chat_id` now."""

    chat_id: int


@dataclass(frozen=True, slots=True)
class Misparsed:
    """Telegram could not read our HTML; plain text will do."""

    why: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A success in which what was asked for cannot be found."""

    why: str = "an answer that cannot be read"


@dataclass(frozen=True, slots=True)
class NoAddress:
    """TELEGRAM_API_URL and the token make no valid URL: nothing can be asked."""

    why: str


Answer = Delivered | Album | Facts | Migrated | Misparsed | Unreadable | NoAddress | SendOutcome


def read_sent(result: Any) -> Answer | None:
    """Read the one message that Telegram took; None where there is none."""
    match result:
        case {"message_id": int(message_id)}:
            return Delivered(message_id)
    return None


def read_album(result: Any) -> Answer | None:
    """Read the messages of an album; None where one of them cannot be read."""
    messages = [read_sent(each) for each in result] if isinstance(result, list) else []
    taken = tuple(each.message_id for each in messages if isinstance(each, Delivered))
    return Album(taken) if taken and len(taken) == len(messages) else None


def read_facts(result: Any) -> Answer | None:
    """Read what was asked about; None where it is no object, or an empty one."""
    return Facts(result) if isinstance(result, dict) and result else None


def read_answer(status: int, body: bytes, read_result: Callable[[Any], Answer | None] = read_sent) -> Answer:
    """Judge one HTTP answer: its status and its body as it came. `read_result` reads what a success holds."""
    envelope = _envelope(body)
    success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    match envelope:
        case {"ok": True, "result": result} if success and (answer := read_result(result)) is not None:
            return answer
        case {"ok": False}:
            code = envelope.get("error_code") if success else status
            parameters = envelope.get("parameters")
            return _refusal(
                code if isinstance(code, int) else 0,
                _why(code, envelope.get("description")),
                parameters if isinstance(parameters, dict) else {},
            )
    if success:
        return Unreadable()
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Rejected(_why(status, "request too large"))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return SlowDown(UNSAID_WAIT)
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return Uncertain(_why(status, "a proxy waited in vain for Telegram"))
    return Down(_why(status, "not from Telegram itself"))


def read_edit(answer: Answer, message_id: int) -> Answer:
    """Read the answer to an edit of a message: what reads so already was edited, and some can be edited no more."""
    match answer:
        case Rejected(why) if _holds(why.lower(), _UNCHANGED):
            return Delivered(message_id)
        case Rejected(why) if _holds(why.lower(), _NOT_EDITABLE):
            return NotEditable(why)
        case Migrated():
            return NotEditable("the chat migrated, and its messages got other ids")
    return answer


def outcome_of(answer: Answer, chat_id: int, misparsed: str | None) -> SendOutcome:
    """Turn the last answer to one try in `chat_id` into its outcome; `misparsed` is why our HTML was not read."""
    match answer:
        case Delivered(message_id):
            outcome: SendOutcome = Sent(message_id, chat_id)
        case Migrated():
            outcome = Rejected("the chat migrates again and again")
        case Misparsed(why):
            outcome = Rejected(why)
        case NoAddress(why):
            outcome = TokenRefused(why)
        case Unreadable(why):
            outcome = Uncertain(why)
        case Album() | Facts():
            outcome = Uncertain("an answer to something else")
        case _:
            outcome = answer
    return replace(outcome, misparsed=misparsed)


def _refusal(code: int, why: str, parameters: dict[str, Any]) -> Answer:
    match code, parameters:
        case 401 | 404, _:
            return TokenRefused(why)
        case _, {"migrate_to_chat_id": int(chat_id)}:
            return Migrated(chat_id)
        case (429, _) | (_, {"retry_after": _}):
            return SlowDown(_seconds(parameters.get("retry_after")))
        case 504, _:
            return Uncertain(why)
        case 400 | 403, _:
            return _no(code, why)
    condemned = HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR and code != HTTPStatus.CONFLICT
    return Rejected(why) if condemned else Down(why)


def _no(code: int, why: str) -> Answer:
    text = why.lower()
    if _holds(text, _LEFT):
        return Unreachable(why, blocked=True)
    # Not every 403 is the owner's doing: "can't initiate conversation" means that they never pressed Start.
    if code == HTTPStatus.FORBIDDEN or _holds(text, _NOT_THERE):
        return Unreachable(why, blocked=False)
    return Misparsed(why) if _holds(text, _MISPARSED) else Rejected(why)


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _seconds(retry_after: object) -> float:
    """Return Telegram's figure unchanged unless it is no figure at all."""
    try:
        seconds = float(retry_after)  # type: ignore[arg-type]  # whatever JSON held
    except (TypeError, ValueError, OverflowError):
        return UNSAID_WAIT
    if not math.isfinite(seconds) or seconds <= 0:
        return UNSAID_WAIT
    return min(seconds, LONGEST_WAIT.total_seconds())


def _why(code: object, description: object) -> str:
    text = description if isinstance(description, str) else "no description"
    line = "".join(character if character.isprintable() else " " for character in text)
    return f"{code} {line}"[:WHY_LIMIT]


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)
