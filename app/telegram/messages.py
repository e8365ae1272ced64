"""Wording: a notification becomes a message. No I/O."""

import unicodedata
from dataclasses import dataclass
from html import escape

from app.domain.notification import Cause, Kind, Notification
from app.telegram.words import Words

NAME_LIMIT = 64  # characters shown of an avatar's name
CALLBACK_LIMIT = 64  # bytes of callback_data (Bot API, InlineKeyboardButton)
GALLERY = "avatar_gallery"  # the bot's own callbacks: docs/bot-database.md
GENERATE = "avatar_generate:"

Keyboard = tuple[tuple[tuple[str, str], ...], ...]

_BREAKS = {"Cc", "Zl", "Zp", "Zs"}  # controls, line ends, odd spaces: shown as one space
_DROPPED = {"Cf", "Cs", "Co"}  # bidi and other invisible marks, lone surrogates (not UTF-8), private use
_JOINER = "\N{ZERO WIDTH JOINER}"  # the one invisible mark that people need: it makes families of emoji


@dataclass(frozen=True, slots=True)
class Message:
    """One message twice: as Bot API HTML, and as the plain text that the HTML shows.

    `keyboard` is rows of (label, callback_data).
    """

    html: str
    plain: str
    keyboard: Keyboard


def word(notification: Notification, words: Words) -> Message:
    """Say a notification in its owner's language, or in the default one."""
    say = words.of(notification.owner.language).gettext
    gallery = (say("gallery"), GALLERY)
    if notification.kind is Kind.READY:
        text = say("ready.text")
        generate = (say("ready.generate"), f"{GENERATE}{notification.avatar_id}")
        keyboard: Keyboard = ((generate,), (gallery,)) if _fits(generate[1]) else ((gallery,),)
    else:
        text = say(f"failed.{notification.cause or Cause.UNKNOWN}")
        keyboard = ((gallery,),)
    name = shown_name(notification.avatar_name)
    title = f"{notification.kind}.title"
    headline = say(title).format(name=name) if name else say(f"{title}.unnamed")
    return Message(f"<b>{_escape(headline)}</b>\n\n{_escape(text)}", f"{headline}\n\n{text}", keyboard)


def shown_name(name: str) -> str:
    r"""Make any text fit for one line of a message: no controls, no bidi marks, at most `NAME_LIMIT` characters.

    Cut before escaping, so that no `&amp;` is ever cut in two.

    >>> shown_name("  Лето\n\u202e2026 ")
    'Лето 2026'
    """
    line = " ".join("".join(map(_neutral, name)).split())
    if len(line) > NAME_LIMIT:
        line = _whole(line[: NAME_LIMIT - 1], line[NAME_LIMIT - 1]) + "…"
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
