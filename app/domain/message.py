"""What is shown in a chat: words in two forms, and buttons."""

from dataclasses import dataclass

Keyboard = tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message twice: as Bot API HTML, and as the plain text that the HTML shows.

    `keyboard` is rows of (label, callback_data).
    """

    html: str
    plain: str
    keyboard: Keyboard = ()
