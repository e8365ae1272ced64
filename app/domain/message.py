"""What is shown in a chat: words in two forms, and buttons."""

from dataclasses import dataclass
from typing import NamedTuple


class LinkButton(NamedTuple):
    """A button that opens an address; any other pair calls the bot back."""

    label: str
    url: str


Keyboard = tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """One to ten images that are shown together, under one caption in two forms. `urls` are https."""

    urls: tuple[str, ...]
    html: str
    plain: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message twice: as Bot API HTML, and as the plain text that the HTML shows.

    `keyboard` is rows of (label, callback_data) or LinkButton. `is_silent`: it comes without a sound.
    `photos` are shown instead of all this where Telegram takes them.
    """

    html: str
    plain: str
    keyboard: Keyboard = ()
    is_silent: bool = False
    photos: PhotoSet | None = None
