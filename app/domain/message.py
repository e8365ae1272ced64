"""What is shown in a chat: words in two forms, and buttons."""

from dataclasses import dataclass
from typing import NamedTuple


class LinkButton(NamedTuple):
    """A button that opens an address; any other pair calls the bot back."""

    label: str
    url: str


Keyboard = tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message twice: as Bot API HTML, and as the plain text that the HTML shows.

    `keyboard` is rows of (label, callback_data) or LinkButton. `is_silent`: it comes without a sound.
    """

    html: str
    plain: str
    keyboard: Keyboard = ()
    is_silent: bool = False
