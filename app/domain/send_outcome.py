"""What became of one try to show a message in a chat."""

from dataclasses import dataclass
from datetime import timedelta

LONGEST_WAIT = timedelta(days=1)  # Telegram asks for minutes; a longer wait is a broken answer or a wrong clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What every outcome holds: `misparsed` is why Telegram could not read our HTML, where it then got plain text.

    `refused` is why it did not take images as they were first offered.
    """

    misparsed: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Sent(Tried):
    """The message stands in the chat. `chat_id` differs from the one asked for when the group migrated.

    `images` is how many images it shows; links to images are none.
    """

    message_id: int
    chat_id: int
    images: int = 0


@dataclass(frozen=True, slots=True)
class Unreachable(Tried):
    """The owner cannot be reached until they come back. `blocked` when it is they who left (403)."""

    why: str
    blocked: bool


@dataclass(frozen=True, slots=True)
class Rejected(Tried):
    """Telegram will never take this message."""

    why: str


@dataclass(frozen=True, slots=True)
class NotEditable(Tried):
    """The message that was to be edited is gone, or no longer ours to edit."""

    why: str


@dataclass(frozen=True, slots=True)
class SlowDown(Tried):
    """429: wait exactly `seconds`; not a failure."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NotYet(Tried):
    """Nothing was sent for want of room on our side: try again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Uncertain(Tried):
    """The request left and no answer came: the message may have been delivered."""

    why: str


@dataclass(frozen=True, slots=True)
class Down(Tried):
    """Nothing was delivered and a later try may succeed."""

    why: str


@dataclass(frozen=True, slots=True)
class TokenRefused(Tried):
    """401 or 404: the bot token is wrong or revoked; sending stops until the operator mends it."""

    why: str


@dataclass(frozen=True, slots=True)
class NoToken(Tried):
    """No token is configured: nothing can be sent, and `text` is what would have been."""

    text: str


SendOutcome = (
    Sent | Unreachable | Rejected | NotEditable | SlowDown | NotYet | Uncertain | Down | TokenRefused | NoToken
)
