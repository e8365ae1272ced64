"""The pages of which the pictures in docs/messages are taken: each message as a phone shows it, in three languages."""

import hashlib
from collections.abc import Iterator
from html import escape

from app.cli.message_samples import Sample, owners_samples
from app.domain.message import LinkButton, Message
from app.telegram.catalogs import Catalogs

LANGUAGES = ("ru", "kk", "en")
NAME = "Айша"
SUPPORT = "https://t.me/aisha_help"
WIDTH, PHONE = 1128, 360  # px: of a picture, and of one phone in it
STYLE = """
* { box-sizing: border-box }
body { margin: 0; width: 1128px; display: flex; gap: 12px; padding: 12px; background: #fff;
  font: 15px/1.35 "Noto Sans", "DejaVu Sans", "Noto Color Emoji", sans-serif; color: #0f1419 }
.phone { width: 360px; padding: 14px 12px; border-radius: 16px; background: #d5e5d2 }
.bubble { background: #fff; border-radius: 14px 14px 14px 4px; padding: 8px 12px; white-space: pre-wrap;
  overflow-wrap: break-word }
.time { float: right; margin-left: 8px; color: #8a949b; font-size: 11px; padding-top: 5px }
.button { margin-top: 4px; padding: 9px; border-radius: 8px; background: #7da387; color: #fff; text-align: center;
  font-weight: 600; position: relative }
.link::after { content: "↗"; position: absolute; top: 2px; right: 6px; font-size: 11px }
"""


def pages() -> Iterator[tuple[str, str]]:
    """Make (name of the message, HTML page) for every message that an owner may read."""
    catalogs = Catalogs(LANGUAGES[0])
    by_language = [list(owners_samples(catalogs, language, NAME, SUPPORT)) for language in LANGUAGES]
    for samples in zip(*by_language, strict=True):
        yield samples[0].name, page(samples)


def page(samples: tuple[Sample, ...]) -> str:
    """Put one message in three languages side by side."""
    phones = "".join(
        f'<div class="phone" lang="{language}">{_bubble(sample.message)}</div>'
        for language, sample in zip(LANGUAGES, samples, strict=True)
    )
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><body>{phones}</body>'


def fingerprint(html: str) -> str:
    """Name a page by its content."""
    return hashlib.sha256(html.encode()).hexdigest()


def _bubble(message: Message) -> str:
    """Show what Telegram shows of our HTML (its tags are HTML's own), and the buttons below."""
    silent = "🔕 " if message.is_silent else ""
    buttons = "".join(
        f'<div class="button{" link" if isinstance(button, LinkButton) else ""}">{escape(button[0])}</div>'
        for row in message.keyboard
        for button in row
    )
    return f'<div class="bubble">{message.html}<span class="time">{silent}17:00</span></div>{buttons}'
