"""Wording: a notification becomes a message. No I/O.

What is the same for every message of one topic, language and cause is put together once (`Frame`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from app.domain.message import Keyboard, LinkButton, Message
from app.domain.notification import AlertMessage, Cause, DigestMessage, Notification, OwnerMessage, Topic
from app.domain.trainer import Trainer
from app.telegram.alert_wording import CLI, word_alert, word_test
from app.telegram.catalogs import Catalogs
from app.telegram.digest_wording import word_digest
from app.telegram.images_wording import word_generation
from app.telegram.names import LEFT_TO_RIGHT, escaped, isolated, shown_name

CALLBACK_LIMIT = 64  # bytes of callback_data (Bot API, InlineKeyboardButton)
GALLERY = "avatar_gallery"  # the bot's own callbacks: docs/bot-database.md
CREATE = "create_avatar"
GENERATE = "avatar_generate:"
NAME = "{name}"
_OPENED_BY_NAME = re.compile(r"\W*\{name\}")


@dataclass(frozen=True, slots=True)
class Frame:
    """All of a message but the avatar's name, in HTML and in plain text: what stands before it and what after it.

    `create_image` is the label of the button that needs the avatar's id, `keyboard` the rows below it.
    """

    html: tuple[str, str]
    plain: tuple[str, str]
    keyboard: Keyboard
    create_image: str | None = None

    def around(self, name: str, subject: str) -> Message:
        """Put a shown name (empty: the frame has no room for one) and an avatar's id into their places."""
        keyboard = self.keyboard
        if self.create_image is not None:
            keyboard = (((self.create_image, f"{GENERATE}{subject}"),), *keyboard)
        if not name:
            return Message(self.html[0], self.plain[0], keyboard)
        label = isolated(name)
        return Message(
            f"{self.html[0]}{escaped(label)}{self.html[1]}",
            f"{self.plain[0]}{label}{self.plain[1]}",
            keyboard,
        )


def word(notification: Notification, catalogs: Catalogs, support_url: str | None = None, cli: str = CLI) -> Message:
    """Say a notification in the language of whoever gets it, or in the default one.

    `support_url`: where an owner writes who needs a person's help; None where there is no such place. `cli`: how the
    operator calls our command.
    """
    if isinstance(notification, AlertMessage):
        return word_alert(notification, catalogs.of(notification.owner.language).gettext, cli)
    if isinstance(notification, DigestMessage):
        return word_digest(notification, catalogs.of(notification.owner.language))
    if notification.topic is Topic.TEST:
        return word_test(catalogs.of(notification.owner.language).gettext)
    if notification.topic in (Topic.IMAGES, Topic.IMAGES_FAILED):
        return word_generation(notification, catalogs.of(notification.owner.language), support_url)
    name = shown_name(notification.name)
    creates = notification.trainer is not Trainer.STYLE and _fits(notification.subject)
    frame = result_frame(
        catalogs,
        notification.owner.language,
        _topic(notification),
        cause=notification.cause,
        trainer=notification.trainer,
        support_url=support_url,
        is_named=bool(name),
        is_correction=notification.topic is Topic.CORRECTION,
        creates=creates,
    )
    return frame.around(name, notification.subject)


def label(catalogs: Catalogs, language: str, *, is_named: bool) -> str:
    """Return how a name stands in a line, with NAME in its place, or what stands for an avatar without one."""
    return catalogs.of(language).gettext("label" if is_named else "label.unnamed")


def frame_of(head: str, rest: str, keyboard: Keyboard, create_image: str | None = None, *, is_bold: bool) -> Frame:
    """Cut a first line in two at NAME, in both forms; one that opens with a name keeps its direction."""
    line = f"{LEFT_TO_RIGHT}{head}" if _OPENED_BY_NAME.match(head) else head
    before, _, after = line.partition(NAME)
    opening, closing = ("<b>", "</b>") if is_bold else ("", "")
    if NAME in line:
        html = f"{opening}{escaped(before)}", f"{escaped(after)}{closing}{escaped(rest)}"
        return Frame(html, (before, f"{after}{rest}"), keyboard, create_image)
    return Frame(
        (f"{opening}{escaped(line)}{closing}{escaped(rest)}", ""), (f"{line}{rest}", ""), keyboard, create_image
    )


@lru_cache(1024)
def result_frame(
    catalogs: Catalogs,
    language: str,
    topic: Topic,
    *,
    cause: Cause | None,
    trainer: Trainer | None,
    support_url: str | None,
    is_named: bool,
    is_correction: bool,
    creates: bool,
) -> Frame:
    """Put together what every such message has in common; `creates`: the bot can make images with the avatar."""
    say = catalogs.of(language).gettext
    titled = label(catalogs, language, is_named=is_named)
    support: Keyboard = ((LinkButton(say("button.support"), support_url),),) if support_url else ()
    create: Keyboard = (((say("button.create_avatar"), CREATE),),)
    if topic is Topic.TROUBLE_OURS:
        return frame_of(say("trouble_ours.text").format(label=titled), "", support, is_bold=False)
    title = say(f"{topic}.title" if is_named else f"{topic}.title.unnamed").format(label=titled)
    paragraphs = [say("correction.text")] if is_correction else []
    if topic is Topic.READY:
        paragraphs.append(say("ready.text" if creates else "ready.text.gallery"))
        second = f"\n{say(f'ready.type.{trainer}')}" if trainer is not None else ""
        rest = "".join(f"\n\n{paragraph}" for paragraph in paragraphs)
        gallery: Keyboard = (((say("button.gallery"), GALLERY),),)
        create_image = say("button.create_image") if creates else None
        return frame_of(title, second + rest, gallery, create_image, is_bold=True)
    if topic is Topic.ACCOUNT_BACK:
        return frame_of(title, f"\n\n{say('account_back.text')}", create, is_bold=True)
    paragraphs.append(say(f"failed.{cause or Cause.UNKNOWN}"))
    if support_url:
        paragraphs.append(say("support.line"))
    rest = "".join(f"\n\n{paragraph}" for paragraph in paragraphs)
    keyboard = support if cause is Cause.OUR_ACCOUNT else create + support
    return frame_of(title, rest, keyboard, is_bold=True)


def _topic(message: OwnerMessage) -> Topic:
    """Tell as which result a message is worded: a correction is one of the two."""
    if message.topic is Topic.CORRECTION:
        return Topic.READY if message.cause is None else Topic.FAILED
    return message.topic


def _fits(subject: str) -> bool:
    return len(f"{GENERATE}{subject}".encode()) <= CALLBACK_LIMIT
