"""A rough reading of Telegram's HTML: strict enough to catch an escaping bug (docs/telegram.md)."""

import html
import re
from typing import Final

TAGS: Final = frozenset(
    "b strong i em u ins s strike del span tg-spoiler a tg-emoji code pre blockquote tg-time".split()  # noqa: SIM905 a word list reads better
)

_TOKEN: Final = re.compile(r"<(?P<end>/?)(?P<tag>[a-zA-Z][a-zA-Z0-9-]*)?(?P<rest>[^<>]*)(?P<close>>?)")
_BETWEEN: Final = re.compile(r"<[^<>]*>")
_ENTITY: Final = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|lt|gt|amp|quot);")


class MarkupRefused(Exception):
    """The text is not Telegram's HTML; the message is what Telegram would say after "can't parse entities: "."""


def visible_text(text: str) -> str:
    """Return what a person sees of an HTML message: tags gone, the four named and all numeric entities resolved.

    Raises MarkupRefused for an unsupported, unclosed or crossed tag.
    """
    open_tags: list[str] = []
    for token in _TOKEN.finditer(text):
        tag, offset = (token["tag"] or "").lower(), len(text[: token.start()].encode("utf-8", "surrogatepass"))
        if not token["close"]:
            raise MarkupRefused(f"Unclosed {'end' if token['end'] else 'start'} tag at byte offset {offset}")
        if not token["end"]:
            if tag not in TAGS or (tag == "span" and "tg-spoiler" not in token["rest"]):
                raise MarkupRefused(f'Unsupported start tag "{tag}" at byte offset {offset}')
            open_tags.append(tag)
        elif not open_tags or tag not in {open_tags.pop(), ""}:
            raise MarkupRefused(f"Unmatched end tag at byte offset {offset}")
    if open_tags:
        raise MarkupRefused(f'Can\'t find end tag corresponding to start tag "{open_tags[-1]}"')
    return "".join(_ENTITY.sub(lambda entity: html.unescape(entity[0]), part) for part in _BETWEEN.split(text))
