"""Wording: a notification becomes a message. No I/O."""

import unicodedata
from collections.abc import Callable
from html import escape

from app.domain.alert import REMEDY, AlertLevel
from app.domain.message import Keyboard, Message
from app.domain.notification import AlertMessage, Cause, Notification, OwnerMessage, Topic
from app.telegram.catalogs import Catalogs

NAME_LIMIT = 64  # characters shown of an avatar's name
DETAIL_LIMIT = 1000  # characters shown of an alert's detail
CALLBACK_LIMIT = 64  # bytes of callback_data (Bot API, InlineKeyboardButton)
GALLERY = "avatar_gallery"  # the bot's own callbacks: docs/bot-database.md
GENERATE = "avatar_generate:"
MARKS = {AlertLevel.WARN: "⚠️", AlertLevel.CRITICAL: "🚨"}
OVER = "✅"

_BREAKS = {"Cc", "Zl", "Zp", "Zs"}  # controls, line ends, odd spaces: shown as one space
_DROPPED = {"Cf", "Cs", "Co"}  # bidi and other invisible marks, lone surrogates (not UTF-8), private use
_JOINER = "\N{ZERO WIDTH JOINER}"  # the one invisible mark that people need: it makes families of emoji


def word(notification: Notification, catalogs: Catalogs) -> Message:
    """Say a notification in the language of whoever gets it, or in the default one."""
    say = catalogs.of(notification.owner.language).gettext
    match notification:
        case OwnerMessage(topic=Topic.TEST):
            headline, text = say("test.title"), say("test.text")
            return Message(f"<b>{_escape(headline)}</b>\n\n{_escape(text)}", f"{headline}\n\n{text}", ())
        case OwnerMessage():
            return _word_result(notification, say)
        case AlertMessage():
            return _word_alert(notification, say)


def _word_result(message: OwnerMessage, say: Callable[[str], str]) -> Message:
    gallery = (say("gallery"), GALLERY)
    is_correction = message.topic is Topic.CORRECTION
    if message.topic is Topic.READY or (is_correction and message.cause is None):
        topic, text = Topic.READY, say("ready.text")
        generate = (say("ready.generate"), f"{GENERATE}{message.subject}")
        keyboard: Keyboard = ((generate,), (gallery,)) if _fits(generate[1]) else ((gallery,),)
    else:
        topic, text = Topic.FAILED, say(f"failed.{message.cause or Cause.UNKNOWN}")
        keyboard = ((gallery,),)
    if is_correction:
        text = f"{say('correction.text')}\n\n{text}"
    name = shown_name(message.name)
    title = f"{topic}.title"
    headline = say(title).format(name=name) if name else say(f"{title}.unnamed")
    return Message(f"<b>{_escape(headline)}</b>\n\n{_escape(text)}", f"{headline}\n\n{text}", keyboard)


def _word_alert(alert: AlertMessage, say: Callable[[str], str]) -> Message:
    title = say(f"alert.{alert.condition}.title") + (f" · {shown_name(alert.machine)}" if alert.machine else "")
    if alert.topic is Topic.RESOLVED:
        headline = f"{OVER} {say('resolved.title')}: {title}"
        text = say("resolved.text")
        return Message(f"<b>{_escape(headline)}</b>\n\n{_escape(text)}", f"{headline}\n\n{text}", ())
    headline = f"{MARKS[alert.level]} {title}"
    text = say(f"alert.{alert.condition}.text").format(detail=shown_name(alert.detail, DETAIL_LIMIT))
    command = REMEDY[alert.condition]
    return Message(
        f"<b>{_escape(headline)}</b>\n\n{_escape(text)}\n\n<code>{_escape(command)}</code>",
        f"{headline}\n\n{text}\n\n{command}",
        (),
    )


def shown_name(name: str, limit: int = NAME_LIMIT) -> str:
    r"""Make any text fit for one line of a message: no controls, no bidi marks, at most `limit` characters.

    Cut before escaping, so that no `&amp;` is ever cut in two.

    >>> shown_name("  Лето\n\u202e2026 ")
    'Лето 2026'
    """
    line = " ".join("".join(map(_neutral, name)).split())
    if len(line) > limit:
        line = _whole(line[: limit - 1], line[limit - 1]) + "…"
    return line.strip(f" {_JOINER}")


def _neutral(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BREAKS:
        return " "
    return "" if category in _DROPPED and character != _JOINER else character


def _whole(kept: str, following: str) -> str:
    """Take a character back from `kept` when the cut would tear it from its marks (`following` starts the rest)."""
    if not (unicodedata.category(following).startswith("M") or following == _JOINER):
        return kept.rstrip(f" {_JOINER}")
    end = len(kept)
    while end and unicodedata.category(kept[end - 1]).startswith("M"):
        end -= 1
    return kept[: max(end - 1, 0)].rstrip(f" {_JOINER}") or kept


def _fits(callback_data: str) -> bool:
    return len(callback_data.encode()) <= CALLBACK_LIMIT


def _escape(text: str) -> str:
    return escape(text, quote=False)
