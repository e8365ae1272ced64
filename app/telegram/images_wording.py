"""Wording of a generation's end: a caption for its images, the same with links, and its failures. No I/O."""

from collections.abc import Sequence
from gettext import GNUTranslations
from html import escape

from app.domain.images import OwedImages
from app.domain.message import Keyboard, LinkButton, Message, PhotoSet
from app.domain.notification import Cause, OwnerMessage, Topic
from app.telegram.names import LEFT_TO_RIGHT, escaped, isolated, shown_name

PROMPT_LIMIT = 200  # characters shown of what the owner asked for; a caption holds 1024
# What an owner of images can act on; the other causes speak of photos for a training.
IMAGES_CAUSES = {
    Cause.CONTENT_POLICY: Cause.CONTENT_POLICY,
    Cause.TIMEOUT: Cause.TIMEOUT,
    Cause.CANCELLED: Cause.CANCELLED,
    Cause.FAL_TROUBLE: Cause.FAL_TROUBLE,
    Cause.OUR_ACCOUNT: Cause.FAL_TROUBLE,
    Cause.RESULT_GONE: Cause.RESULT_GONE,
    Cause.UNKNOWN: Cause.UNKNOWN,
}


def word_generation(message: OwnerMessage, words: GNUTranslations, support_url: str | None = None) -> Message:
    """Say how a generation ended.

    Images that are left come as `photos`, as many as one album holds; the text itself holds links to all that are left.
    """
    name = shown_name(message.name, PROMPT_LIMIT)
    asked = f"{LEFT_TO_RIGHT}{words.gettext('label').format(name=isolated(name))}" if name else ""
    if message.topic is Topic.IMAGES_FAILED:
        return _failed(message.cause, asked, words, support_url)
    images = message.images or OwedImages(())
    return _images(images, asked, words)


def _images(images: OwedImages, asked: str, words: GNUTranslations) -> Message:
    say = words.gettext
    title = say("images.title.one" if len(images.urls) == 1 else "images.title")
    withheld = say("images.withheld").format(n=images.withheld) if images.withheld and not images.shown else ""
    caption = _paragraphs(title, asked, withheld)
    if images.shown:
        caption = _paragraphs(say("images.more").format(shown=images.shown, total=len(images.urls)), "", "")
    if not images.left:
        return Message(*caption)
    linked = say("images.links")
    text = (
        f"{caption[0]}\n\n{escaped(linked)} {_links(images.left, images.shown)}",
        "\n".join((f"{caption[1]}\n\n{linked}", *images.left)),
    )
    photos = None if images.is_in_doubt else PhotoSet(images.next_album, *caption)
    return Message(*text, photos=photos)


def _failed(cause: Cause | None, asked: str, words: GNUTranslations, support_url: str | None) -> Message:
    say = words.gettext
    why = say(f"images_failed.{IMAGES_CAUSES.get(cause or Cause.UNKNOWN, Cause.UNKNOWN)}")
    html, plain = _paragraphs(say("images_failed.title"), asked, why)
    keyboard: Keyboard = ()
    if support_url:
        line = say("support.line")
        html, plain = f"{html}\n\n{escaped(line)}", f"{plain}\n\n{line}"
        keyboard = ((LinkButton(say("button.support"), support_url),),)
    return Message(html, plain, keyboard)


def _paragraphs(title: str, asked: str, text: str) -> tuple[str, str]:
    """Put a bold title, a line below it and a paragraph together, in HTML and in plain text."""
    below = f"\n{asked}" if asked else ""
    after = f"\n\n{text}" if text else ""
    return f"<b>{escaped(title)}</b>{escaped(below)}{escaped(after)}", f"{title}{below}{after}"


def _links(urls: Sequence[str], before: int) -> str:
    return " · ".join(f'<a href="{escape(url)}">{number}</a>' for number, url in enumerate(urls, before + 1))
